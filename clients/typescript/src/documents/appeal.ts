// Made of docs/schemas/appeal.json by clients/documents.py: change the type that the schema comes from.

/**
 * One message of the queue `assay.appeals`: somebody objects to a verdict, and people decide.
 *
 * One verdict has one appeal; the same text again is the same appeal. Fields that are not listed are ignored.
 */
export interface Appeal {
  /**
   * The system or team that passes it on; no name of a person. At most 256 bytes.
   */
  actor?: string | null;
  /**
   * An object that is to show it, such as the camera's own file; it has to lie where the tenant's images may.
   */
  evidence?: ImageRef | null;
  /**
   * Whose verdict it is; without one, whoever's it is.
   */
  tenant?: string | null;
  /**
   * What the person who objects writes. At most 4096 bytes.
   */
  text: string;
  /**
   * The verdict; it has to be the latest of its submission.
   */
  verdict_id: string;
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
