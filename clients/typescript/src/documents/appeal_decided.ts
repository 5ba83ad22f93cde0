// Made of docs/schemas/appeal_decided.json by clients/documents.py: change the type that the schema comes from.

/**
 * On what grounds somebody answers. It matters because people who go by the look of an image are right little more often than
 * chance: 62 % of 287,000 judgements (arXiv 2507.18640).
 * `provenance`: What the file says of where it comes from.
 * `known_source`: The image is known from elsewhere.
 * `uploaders_original`: The uploader has shown the original.
 * `visible_artefact`: Something that can be pointed at.
 * `by_eye`: The look of it.
 */
export type ReviewGround = "provenance" | "known_source" | "uploaders_original" | "visible_artefact" | "by_eye";
/**
 * `upheld`: The verdict stands.
 * `overturned`: It was wrong: the next generation says what people found.
 */
export type AppealResult = "upheld" | "overturned";

/**
 * The document `assay.appeal_decided.v1`: what became of an appeal.
 */
export interface AppealDecided {
  appeal_id: string;
  decided_at: string;
  /**
   * Pseudonyms of those who decided.
   */
  decided_by: string[];
  grounds: ReviewGround[];
  /**
   * The verdict that the appeal was against.
   */
  outcome_id: string;
  /**
   * What is to be told to who appealed, in the words of those who decided.
   */
  reason: string;
  result: AppealResult;
  schema: "assay.appeal_decided.v1";
  submission_id: string;
  tenant: string;
  [k: string]: unknown;
}
