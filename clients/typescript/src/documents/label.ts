// Made of docs/schemas/label.json by clients/documents.py: change the type that the schema comes from.

/**
 * One message of the queue `assay.labels`: what a reviewer says an image is.
 *
 * It names the image by exactly one of `verdict_id` and `image`. Fields that are not listed are ignored.
 */
export type Label = (
  | {
      origin?: "synthetic";
      [k: string]: unknown;
    }
  | {
      generator?: null;
      [k: string]: unknown;
    }
) & {
  /**
   * Who says so: a person, a team or a system. At most 256 bytes.
   */
  actor: string;
  content_type?: ContentType | null;
  /**
   * Which generator made it, by a label such as `midjourney`; only for a synthetic image.
   */
  generator?: string | null;
  origin: LabelledOrigin;
  /**
   * On what grounds. At most 4096 bytes.
   */
  reason?: string | null;
  /**
   * Whose image it is; without one, that of the verdict, or the owner of the bucket.
   */
  tenant?: string | null;
  [k: string]: unknown;
} & (
    | {
        /**
         * The id of an outcome: the `verdict_id` of a verdict, the `failure_id` of a failure.
         */
        verdict_id: string;
        [k: string]: unknown;
      }
    | {
        image: ImageRef;
        [k: string]: unknown;
      }
  );
/**
 * What the image shows, in ImagiNet's four kinds.
 */
export type ContentType = "photos" | "paintings" | "faces" | "uncategorized";
export type LabelledOrigin = "real" | "synthetic";

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
