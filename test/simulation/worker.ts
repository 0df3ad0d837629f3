/** One process of a campaign: `node worker.ts '<the task as JSON>'`, and its report is what it prints. */
import { join } from "node:path"
import { root } from "../../scripts/root.ts"
import type { Task } from "./campaign.ts"
import { useSources } from "./sources.ts"

const task = JSON.parse(process.argv[2]!) as Task
useSources(task.sources ?? join(root, "src"))
const { campaign } = await import("./campaign.ts")
console.log(JSON.stringify(campaign(task)))
