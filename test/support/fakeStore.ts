/** A store in memory that fails, hangs or takes its time on demand, and remembers how it was used. */
import { Clock, Effect } from "effect"
import { Checkpointer, GraphError } from "effect-stategraph"

export type Method = "claim" | "load" | "save" | "release" | "renew"

export type Fault =
  /** The typed error of a store. */
  | "fails"
  /** A defect, in its effect or thrown by the call itself. */
  | "dies"
  | "throws"
  /** It never answers; `stuck` cannot be interrupted either. */
  | "hangs"
  | "stuck"
  /** It does what it is asked for, and never answers. */
  | "mute"
  /** It answers after so many milliseconds. */
  | { readonly ms: number }

export interface Used {
  readonly method: Method
  readonly at: number
  readonly status?: Checkpointer.Status
}

export const storageError = (thread: string) =>
  new GraphError.CheckpointError({ thread, reason: "Storage", issue: "the disk is full" })

export class FakeStore {
  readonly inner: Checkpointer.Service = Checkpointer.makeUnsafe()
  readonly used: Array<Used> = []
  /** The fault of the n-th call of a method, from 1; none: it works. */
  fault: (method: Method, n: number) => Fault | undefined = () => undefined
  saving = 0
  /** Saves at a time, at most. */
  maxSaving = 0
  /** When each claim was renewed last. */
  readonly #counts = new Map<Method, number>()
  readonly service: Checkpointer.Service

  constructor(leaseMs?: number) {
    const { inner } = this
    this.service = {
      ...inner,
      claim: (thread, options) => this.#call("claim", thread, inner.claim(thread, options)),
      load: (thread, id) => this.#call("load", thread, inner.load(thread, id)),
      release: (claim) => this.#call("release", claim.thread, inner.release(claim)),
      save: (claim, draft) => {
        const begun = Effect.sync(() => {
          this.maxSaving = Math.max(this.maxSaving, ++this.saving)
        })
        return Effect.acquireUseRelease(
          begun,
          () => this.#call("save", claim.thread, inner.save(claim, draft), draft.status),
          () => Effect.sync(() => this.saving--)
        )
      },
      ...leaseMs === undefined ? {} : {
        leaseMs,
        renew: (claim) => this.#call("renew", claim.thread, Effect.asVoid(this.#owned(claim)))
      }
    }
  }

  /** Fails as a store does for a claim that was lost. */
  #owned(claim: Checkpointer.Claim) {
    return Effect.flatMap(
      Effect.exit(this.inner.claim(claim.thread)),
      (exit): Effect.Effect<void, GraphError.CheckpointError> => {
        if (exit._tag === "Failure" && !this.lost) return Effect.void
        const fenced = new GraphError.CheckpointError({ thread: claim.thread, reason: "Fenced", issue: "lost" })
        return exit._tag === "Failure"
          ? Effect.fail(fenced)
          : Effect.andThen(this.inner.release(exit.value), Effect.fail(fenced))
      }
    )
  }

  /** Renewing fails: somebody else has the thread. */
  lost = false

  times(method: Method): ReadonlyArray<number> {
    return this.used.flatMap((used) => used.method === method ? [used.at] : [])
  }

  get statuses(): ReadonlyArray<Checkpointer.Status> {
    return this.used.flatMap(({ status }) => status === undefined ? [] : [status])
  }

  #call<A>(
    method: Method,
    thread: string,
    self: Effect.Effect<A, GraphError.CheckpointError>,
    status?: Checkpointer.Status
  ): Effect.Effect<A, GraphError.CheckpointError> {
    const n = (this.#counts.get(method) ?? 0) + 1
    this.#counts.set(method, n)
    const fault = this.fault(method, n)
    if (fault === "throws") throw new Error(`${method} threw`)
    return Effect.suspend(() => {
      if (typeof fault === "object") return Effect.delay(self, fault.ms)
      switch (fault) {
        case "fails":
          return Effect.fail(storageError(thread))
        case "dies":
          return Effect.die(new Error(`${method} died`))
        case "hangs":
          return Effect.never
        case "stuck":
          return Effect.uninterruptible(Effect.never)
        case "mute":
          return Effect.andThen(self, Effect.never)
        default:
          return self
      }
    }).pipe((self) =>
      Effect.andThen(
        Effect.map(Clock.currentTimeMillis, (at) => {
          this.used.push(status === undefined ? { method, at } : { method, at, status })
        }),
        self
      )
    )
  }
}
