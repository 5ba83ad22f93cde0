// Made of docs/schemas/failure.json by clients/documents.py: change the type that the schema comes from.

/**
 * Why a submission can't be judged: a word for machines and a title for people.
 * `expired`: The submission had an outcome before, which is not kept any more; Nothing but its key is kept of what was found then (`[retention]`), and there is never a second verdict under one key.
 * `erased`: What was known of the submission was erased on demand; Somebody asked for it to be deleted (`assay erase`), and it is not judged again.
 * `deadline_exceeded`: The deadline passed before the image could be judged
 * `bucket_not_allowed`: The bucket or the key is not on the allow-list
 * `object_not_found`: The object does not exist
 * `access_denied`: The worker may not read the object
 * `content_mismatch`: The object is not the one that was submitted; The bytes are not those that the submitter described (etag or sha256).
 * `too_large`: The image is larger than the limits allow
 * `object_store_unavailable`: The object store did not answer in time; Transient trouble that outlasted the retry schedule.
 * `unsupported_format`: The bytes are no image of a supported format
 * `decoder_unavailable`: The worker could not start its decoder; Trouble of the worker that outlasted the retry schedule.
 * `decode_failed`: The image is damaged and cannot be decoded
 * `internal_error`: The worker failed on the submission; A defect of this program that met this submission through the whole retry schedule, or a value of it that the database refuses.
 * `inference_failed`: The detector could not score the image; The network could not score this one image, though it scored its neighbours.
 */
export type FailureCode =
  | "expired"
  | "erased"
  | "deadline_exceeded"
  | "bucket_not_allowed"
  | "object_not_found"
  | "access_denied"
  | "content_mismatch"
  | "too_large"
  | "object_store_unavailable"
  | "unsupported_format"
  | "decoder_unavailable"
  | "decode_failed"
  | "internal_error"
  | "inference_failed";
/**
 * Why the image is judged.
 * `live`: Somebody has just uploaded it.
 * `backfill`: It has been there for long.
 * `reverdict`: It was judged before and shall be looked at afresh; goes with the next `generation`.
 */
export type Purpose = "live" | "backfill" | "reverdict";
/**
 * Where the work stopped.
 */
export type Stage = "intake" | "fetch" | "decode" | "infer";

/**
 * The document `assay.failure.v1`: that a submission can't be judged, and why. It is the submission's one outcome.
 */
export interface Failure {
  at: string;
  /**
   * Which try it was that ended so, from 1.
   */
  attempt: number;
  code: FailureCode;
  /**
   * What was found, in words, for whoever looks into it.
   */
  detail: string;
  /**
   * The same on every repetition; it follows from tenant, submission and generation.
   */
  failure_id: string;
  generation: number;
  image: ImageRef;
  /**
   * What the request said, as it was.
   */
  metadata: {
    [k: string]: unknown;
  };
  purpose: Purpose;
  /**
   * Whether asking again with the next generation can end otherwise with the same image.
   */
  retryable: boolean;
  schema: "assay.failure.v1";
  stage: Stage;
  submission_id: string;
  /**
   * The outcome of the latest earlier generation, if there is one.
   */
  supersedes: string | null;
  tenant: string;
  /**
   * The code in a sentence for a person.
   */
  title: string;
  [k: string]: unknown;
}
/**
 * As it was asked for.
 */
export interface ImageRef {
  bucket: string;
  /**
   * What the object store called these bytes, with or without quotes.
   */
  etag: string | null;
  /**
   * As the object is called, not URL-encoded. At most 1024 bytes.
   */
  key: string;
  /**
   * Of the bytes, hexadecimal.
   */
  sha256: string | null;
  /**
   * The version that is meant, in a bucket that keeps versions.
   */
  version_id: string | null;
  [k: string]: unknown;
}
