/**
 * What an expectation that is not met throws.
 */
import * as Schema from "effect/Schema"

export class ExpectationError extends Schema.TaggedError<ExpectationError>()("ExpectationError", {
  issues: Schema.Array(Schema.String),
  /** The run as text. */
  happened: Schema.String
}) {
  override get message(): string {
    return `${this.issues.join("\n")}\n\n${this.happened}`
  }
}
