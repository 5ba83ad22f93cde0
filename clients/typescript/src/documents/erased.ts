// Made of docs/schemas/erased.json by clients/documents.py: change the type that the schema comes from.

/**
 * The document `assay.erased.v1`: that what was known of these submissions is deleted. Whoever has stored it deletes it too.
 * One erasure may send several, each of at most 500 submissions, and one that was stopped and begun again sends the same twice.
 */
export interface Erased {
  at: string;
  /**
   * As in the receipt.
   */
  erasure_id: string;
  schema: "assay.erased.v1";
  submissions: ErasedSubmission[];
  tenant: string;
  [k: string]: unknown;
}
/**
 * A submission with the outcomes of all its generations.
 */
export interface ErasedSubmission {
  /**
   * Items: The id of an outcome: the `verdict_id` of a verdict, the `failure_id` of a failure.
   */
  outcome_ids: string[];
  submission_id: string;
  [k: string]: unknown;
}
