// Made of docs/schemas/verdict.json by clients/documents.py: change the type that the schema comes from.

/**
 * Whether an image is real.
 * `uncertain`: Between the thresholds: a person should look.
 */
export type Decision = "real" | "synthetic" | "uncertain";
/**
 * What the bytes were, by their first ones.
 */
export type Format = "jpeg" | "png" | "webp" | "gif" | "bmp" | "tiff" | "avif" | "jxl" | "heic";
/**
 * What the platform shall do. It says nothing of what the image is: that is the verdict's `decision`.
 * `none`: Nothing.
 * `label`: Tell those who see the image.
 * `limit`: Show it to fewer people.
 * `review`: Let a person look before anything else is done.
 * `block`: Don't show it.
 */
export type Action = "none" | "label" | "limit" | "review" | "block";
/**
 * Content Credentials.
 * `present`: There is a manifest; its signature was not checked.
 */
export type C2Pa = "present";
/**
 * Where a file says it.
 * `digital_source_type`: IPTC's digital source type, in XMP or in a C2PA manifest.
 * `generator_settings`: Settings that a front-end of a generative model wrote: `name` says which front-end.
 * `software`: The program that wrote the file.
 * `camera_make`: The maker of the camera.
 */
export type HintKind = "digital_source_type" | "generator_settings" | "software" | "camera_make";
/**
 * Why the image is judged.
 * `live`: Somebody has just uploaded it.
 * `backfill`: It has been there for long.
 * `reverdict`: It was judged before and shall be looked at afresh; goes with the next `generation`.
 */
export type Purpose = "live" | "backfill" | "reverdict";
/**
 * What makes a verdict less sure than its score says.
 * `low_resolution`: A side is shorter than the crop, so it was filled up by reflection.
 * `animated`: There are several frames, of which some were judged: `frames` says how many.
 * `transparent`: Alpha was dropped.
 * `greyscale`: Stored with one channel.
 * `damaged`: Data is missing or unreadable, so pixels of the crop may be made up.
 * `unfamiliar_codec`: The codec is one on whose images the detector has not been measured.
 */
export type Quality = "low_resolution" | "animated" | "transparent" | "greyscale" | "damaged" | "unfamiliar_codec";
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
 * The document `assay.verdict.v1`: what was decided of an image. It is the submission's one outcome.
 */
export interface Verdict {
  /**
   * Which try it was that ended so, from 1.
   */
  attempt: number;
  /**
   * Images that were scored together, each frame of an animation counted; 0 if scores were used again.
   */
  batch_size: number;
  decided_at: string;
  /**
   * Whose decision it is. `model` in verdicts of versions before this field.
   */
  decided_by: "model" | "review";
  decision: Decision;
  /**
   * null for a still image, and in verdicts of versions before this field.
   */
  frames: Frames | null;
  generation: number;
  /**
   * null unless the decision is synthetic and the model names generators.
   */
  generator: GeneratorGuess | null;
  image: JudgedImage;
  /**
   * What the request said, as it was.
   */
  metadata: {
    [k: string]: unknown;
  };
  model: ModelRef;
  /**
   * What follows from it by the platform's own policy, which changes nothing of the decision. null where no policy is in force, and in
   * verdicts of versions before this field.
   */
  policy: AppliedPolicy | null;
  /**
   * The latest verdict among earlier generations: what people have been told so far. null where there is none, and in verdicts of
   * versions before this field.
   */
  previous: Previous | null;
  /**
   * What the file says of itself. Anybody can write or remove such words: the score does not know them. null in verdicts of
   * versions before this field.
   */
  provenance: Provenance | null;
  purpose: Purpose;
  /**
   * What makes the verdict less sure than its score says.
   */
  quality: Quality[];
  /**
   * The outcome whose scores were used again, if the same bytes were judged before by the same weights.
   */
  reused_from: string | null;
  /**
   * null unless people decided.
   */
  review: Reviewed | null;
  schema: "assay.verdict.v1";
  score: Score;
  submission_id: string;
  /**
   * The outcome of the latest earlier generation, if there is one.
   */
  supersedes: string | null;
  tenant: string;
  timing_ms: Timing;
  /**
   * The same on every repetition; it follows from tenant, submission and generation.
   */
  verdict_id: string;
  worker: WorkerRef;
  [k: string]: unknown;
}
/**
 * How much of an animation was judged.
 */
export interface Frames {
  /**
   * The first, the middle and the last, as far as they could be decoded.
   */
  judged: number;
  /**
   * How many the file shows.
   */
  of: number;
  [k: string]: unknown;
}
/**
 * Which generator made it, as far as that can be said.
 */
export interface GeneratorGuess {
  /**
   * The nearest of the known generators, the nearest first; with `unknown` it is none of them.
   */
  candidates: Candidate[];
  /**
   * How sure the label is: the share of the best candidate among the known generators, 0 to 1. null with `unknown`, for
   * which the shares among the known ones say nothing.
   */
  confidence: number | null;
  /**
   * `unknown` with an unknown label.
   */
  family: string;
  /**
   * `unknown` where the image fits no known generator.
   */
  label: string;
  /**
   * How little it resembles any known generator, 0 to 1; null if the model can't say.
   */
  novelty: number | null;
  [k: string]: unknown;
}
/**
 * A generator that it may be.
 */
export interface Candidate {
  label: string;
  /**
   * Its share among the known generators, 0 to 1.
   */
  score: number;
  [k: string]: unknown;
}
/**
 * The image as it was found.
 */
export interface JudgedImage {
  bucket: string;
  bytes: number;
  etag: string | null;
  format: Format;
  height: number;
  key: string;
  /**
   * Of the bytes that were judged, lower-case hexadecimal.
   */
  sha256: string;
  version_id: string | null;
  /**
   * Pixels.
   */
  width: number;
  [k: string]: unknown;
}
/**
 * The weights that judged.
 */
export interface ModelRef {
  /**
   * The set of generators that it can name.
   */
  labels: string;
  /**
   * Of the weights file, lower-case hexadecimal.
   */
  sha256: string;
  /**
   * False for a network of random weights: its verdicts say nothing about the image.
   */
  trained: boolean;
  version: string;
  [k: string]: unknown;
}
/**
 * What a policy made of a verdict: the first of its rules that matched, and what that rule says.
 */
export interface AppliedPolicy {
  /**
   * `none` where no rule matched.
   */
  action: "none" | "label" | "limit" | "review" | "block";
  /**
   * The rule's reason, for people; null where no rule matched.
   */
  because: string | null;
  /**
   * The name of the rule that matched; null where none did.
   */
  rule: string | null;
  /**
   * Of the policy: the first 12 hexadecimal digits of its digest.
   */
  version: string;
  [k: string]: unknown;
}
/**
 * A verdict of an earlier generation, as far as those want it who tell people of a change.
 */
export interface Previous {
  /**
   * What followed from it by the platform's policy of its time. null where none was in force, and in verdicts of versions before this
   * field.
   */
  action: Action | null;
  decision: Decision;
  model_version: string;
  /**
   * The id of an outcome: the `verdict_id` of a verdict, the `failure_id` of a failure.
   */
  outcome_id: string;
  /**
   * Its probability that the image is synthetic, from 0 to 1.
   */
  synthetic: number;
  [k: string]: unknown;
}
/**
 * What a file says of where it comes from. Nothing of it is checked: anybody can write such words into a file, or remove them.
 */
export interface Provenance {
  /**
   * null where there is none.
   */
  c2pa: C2Pa | null;
  /**
   * What the hints come to.
   */
  class: "claimed_synthetic" | "claimed_edit" | "claimed_capture" | "none";
  /**
   * What was found, each once. Only words that are known are named, and nothing is quoted.
   */
  hints: Hint[];
  [k: string]: unknown;
}
/**
 * One thing that a file says.
 */
export interface Hint {
  kind: HintKind;
  /**
   * Which one it is, if it is a known one: `trainedAlgorithmicMedia`, `Photoshop`, `Canon`.
   */
  name: string | null;
  [k: string]: unknown;
}
/**
 * How people came to the decision of a verdict with `decided_by: "review"`. Its score, model and image are those of the verdict that they
 * reviewed.
 */
export interface Reviewed {
  decision_id: string;
  grounds: ReviewGround[];
  /**
   * The verdict that they reviewed.
   */
  outcome_id: string;
  /**
   * Pseudonyms of those who decided.
   */
  reviewers: string[];
  [k: string]: unknown;
}
/**
 * How the decision came about.
 */
export interface Score {
  /**
   * Whether the probability comes from a fitted calibration.
   */
  calibrated: boolean;
  /**
   * What the network said, uncalibrated: above 0 leans synthetic. Of several frames it is the median.
   */
  logit: number;
  /**
   * Probability that the image is synthetic, 0 to 1.
   */
  synthetic: number;
  /**
   * At it or above the decision is `synthetic`.
   */
  threshold_high: number;
  /**
   * Below it the decision is `real`.
   */
  threshold_low: number;
  [k: string]: unknown;
}
/**
 * Milliseconds spent in each stage.
 */
export interface Timing {
  /**
   * Waiting for the device and for the rest of the batch.
   */
  batch: number;
  decode: number;
  fetch: number;
  /**
   * The whole batch on the device.
   */
  infer: number;
  /**
   * From publication to intake; null if the submitter gave no time.
   */
  queue: number | null;
  /**
   * Waiting to be recorded.
   */
  record: number;
  [k: string]: unknown;
}
/**
 * Who judged.
 */
export interface WorkerRef {
  /**
   * `cpu`, `cuda:0`, …
   */
  device: string;
  /**
   * Of Assay.
   */
  version: string;
  [k: string]: unknown;
}
