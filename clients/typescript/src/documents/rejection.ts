// Made of docs/schemas/rejection.json by clients/documents.py: change the type that the schema comes from.

/**
 * Why a message was not taken.
 * `unreadable`: The message, or a record of it, can't be read.
 * `conflict`: The submission has its outcome already, for another image. That outcome stands.
 */
export type RejectionCode = "unreadable" | "conflict";

/**
 * The document `assay.rejection.v1`: that a message lies among the dead letters, and why. It is no outcome: the submission
 * has none from this message, and may be sent again, corrected, under the same key.
 */
export interface Rejection {
  at: string;
  code: RejectionCode;
  /**
   * The message's own id, if it had one.
   */
  message_id: string | null;
  /**
   * The queue that it came by.
   */
  queue: string;
  /**
   * In words, for whoever sent it. Never the message itself; a value that is wrong may be quoted, shortened.
   */
  reason: string;
  /**
   * The same for the same message, however often it is rejected.
   */
  rejection_id: string;
  schema: "assay.rejection.v1";
  /**
   * What it asked about, as far as that could be read; null for an event of several records.
   */
  submission_id: string | null;
  /**
   * Whose it is, as far as that could be read.
   */
  tenant: string | null;
  [k: string]: unknown;
}
