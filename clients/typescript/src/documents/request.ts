// Made of docs/schemas/request.json by clients/documents.py: change the type that the schema comes from.

/**
 * Why the image is judged.
 * `live`: Somebody has just uploaded it.
 * `backfill`: It has been there for long.
 * `reverdict`: It was judged before and shall be looked at afresh; goes with the next `generation`.
 */
export type Purpose = "live" | "backfill" | "reverdict";

/**
 * One image to judge. `(tenant, submission_id, generation)` is the idempotency key: each gets exactly one outcome.
 * Fields that are not listed are ignored, and `null` says as much as nothing.
 */
export interface Request {
  /**
   * When the outcome is of no use any more: a failure `deadline_exceeded` from then on.
   */
  deadline?: string | null;
  /**
   * 0, or one more than before to ask for a new outcome: an appeal, a new model, another try.
   */
  generation?: number | null;
  image: ImageRef;
  /**
   * Given back with the outcome. At most 4096 bytes of JSON.
   */
  metadata?: {
    [k: string]: unknown;
  } | null;
  purpose?: Purpose | null;
  /**
   * Your name for the submission. The same again gets the same outcome again. At most 256 bytes.
   */
  submission_id: string;
  /**
   * Whose image it is; without one, the tenant to whom `broker.tenants` gives the bucket, or `default`.
   */
  tenant?: string | null;
  [k: string]: unknown;
}
/**
 * Where the image lies, and what the submitter knows of its bytes.
 */
export interface ImageRef {
  bucket: string;
  /**
   * What the object store called these bytes, with or without quotes.
   */
  etag?: string | null;
  /**
   * As the object is called, not URL-encoded. At most 1024 bytes.
   */
  key: string;
  /**
   * Of the bytes, hexadecimal.
   */
  sha256?: string | null;
  /**
   * The version that is meant, in a bucket that keeps versions.
   */
  version_id?: string | null;
  [k: string]: unknown;
}
