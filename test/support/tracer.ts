/** Spans, as whoever exports them gets them. */
import { Tracer } from "effect"

/** A tracer, and all spans that it has begun, in order. */
export const recordingTracer = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
}
