// Made of docs/schemas/decision.json by clients/documents.py: change the type that the schema comes from.

export type LabelledOrigin = "real" | "synthetic";
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
 * One message of the queue `assay.decisions`, the document `assay.decision.v1`: what people decided of a verdict that they reviewed. A worker
 * records it as the verdict of the submission's next generation. The console sends it, and after an outage sends it again.
 */
export interface ReviewDecision {
  decided_at: string;
  decision: LabelledOrigin;
  /**
   * The same on every repetition.
   */
  decision_id: string;
  /**
   * Its generation.
   */
  generation: number;
  /**
   * Which generator made it, if those who decided name one; only of a synthetic image.
   */
  generator: string | null;
  grounds: ReviewGround[];
  /**
   * The verdict that was reviewed.
   */
  outcome_id: string;
  /**
   * Pseudonyms of those who decided.
   */
  reviewers: string[];
  schema: "assay.decision.v1";
  submission_id: string;
  tenant: string;
  [k: string]: unknown;
}
