/**
 * Five services on loopback. Four are servers that behave as their names say; nobody listens on the port of the fifth.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { Cause, Context, Effect, Exit, Layer, Stream, SubscriptionRef } from "effect"
import { HttpServer, HttpServerError, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

export const behaviours = {
  fast: "answers at once",
  slow: "answers after 3 seconds",
  flaky: "answers 503 twice in every run, then 200",
  hanging: "accepts the connection, never answers",
  dead: "refuses the connection"
}

export type Service = keyof typeof behaviours

export const services = Object.keys(behaviours) as ReadonlyArray<Service>

export class Servers extends Context.Service<Servers, {
  readonly urls: Readonly<Record<Service, string>>
  /** Waits until no request is open, for at most a second; answers how many still are. */
  readonly stillOpen: Effect.Effect<number>
}>()("demo/Servers") {}

/** The servers close with the layer's scope. `onClientGone` is told when a client closes its connection unanswered. */
export const layer = (onClientGone: (service: Service) => Effect.Effect<void>): Layer.Layer<Servers> =>
  Layer.effect(
    Servers,
    Effect.gen(function*() {
      const open = yield* SubscriptionRef.make(0)
      const count = (by: number) => SubscriptionRef.update(open, (n) => n + by)
      const start = (app: App) => serve(Effect.acquireUseRelease(count(1), () => app, () => count(-1)))
      const ok = Effect.succeed(HttpServerResponse.text("hello"))
      const watched = (service: Service, app: App): App =>
        Effect.onExit(app, (exit) => isClientGone(exit) ? onClientGone(service) : Effect.void)
      const urls = {
        fast: yield* start(ok),
        slow: yield* start(watched("slow", Effect.delay(ok, "3 seconds"))),
        flaky: yield* start(failingTwice(ok)),
        hanging: yield* start(watched("hanging", Effect.never))
      }
      const dead = yield* Effect.scoped(bind)
      const idle = Stream.runHead(Stream.filter(SubscriptionRef.changes(open), (n) => n === 0))
      return {
        urls: { ...urls, dead: HttpServer.formatAddress(dead.address) },
        stillOpen: Effect.andThen(Effect.timeoutOption(idle, "1 second"), SubscriptionRef.get(open))
      }
    })
  ).pipe(Layer.orDie)

type App = Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>

// Without the preemptive shutdown, closing interrupts open requests at once instead of waiting for them.
const bind = NodeHttpServer.make(createServer, { host: "127.0.0.1", port: 0, disablePreemptiveShutdown: true })

const serve = Effect.fnUntraced(function*(app: App) {
  const server = yield* bind
  // A server runs its app uninterruptible: it would sleep on after the client has gone.
  yield* server.serve(Effect.interruptible(app))
  return HttpServer.formatAddress(server.address)
})

const isClientGone = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) &&
  exit.cause.reasons.some((reason) =>
    Cause.isInterruptReason(reason) && reason.annotations.has(HttpServerError.ClientAbort.key)
  )

/** The run is in the query, so every run sees two failures. */
const failingTwice = (app: App): App => {
  const asked = new Map<string, number>()
  return Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => {
    const count = (asked.get(url) ?? 0) + 1
    asked.set(url, count)
    return count > 2 ? app : Effect.succeed(HttpServerResponse.empty({ status: 503 }))
  })
}
