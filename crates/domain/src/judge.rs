//! From evidence to a verdict: the one place where scores become a decision.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Candidate, DecidedBy, Decision, Frames, GeneratorGuess, JudgedImage, ModelRef, OutcomeId, Policy, Predecessors,
    Provenance, QualityFlag, Request, Score, Scores, ThresholdSettings, Timing, Verdict, WorkerRef,
};

/// How many generators a verdict names as candidates.
const CANDIDATES: usize = 3;
/// What a generator is called that fits none of the known ones.
pub const UNKNOWN: &str = "unknown";

/// One class of the generator classifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// What verdicts call it.
    pub label: String,
    /// What it is one of: `gan`, `stable-diffusion`, …
    pub family: String,
}

/// Everything that stays the same from verdict to verdict.
#[derive(Clone, Debug)]
pub struct Judge {
    pub model: ModelRef,
    pub policy: Policy,
    /// In place of the policy's own, by tenant.
    pub thresholds: ThresholdSettings,
    /// In the order of [`Scores::generators`].
    pub generators: Vec<Generator>,
    pub worker: WorkerRef,
}

/// What was found of one image.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub observed: Observed,
    pub grounds: Grounds,
    pub timing: Timing,
    pub predecessors: Predecessors,
}

/// What was found of an image beside its scores, none of which it touches.
#[derive(Clone, Debug)]
pub struct Observed {
    pub image: JudgedImage,
    pub quality: Vec<QualityFlag>,
    /// `None` for a still image.
    pub frames: Option<Frames>,
    /// What its file says of itself.
    pub provenance: Provenance,
}

/// What a verdict rests on.
#[derive(Clone, Debug)]
pub enum Grounds {
    /// The network looked at it, or at several of its [frames](Scores::of_frames); `batch_size` images together, its own included.
    Scored { scores: Scores, batch_size: u32 },
    /// An earlier verdict on the same bytes, which the judge [stands by](Judge::stands_by).
    Earlier(Box<Verdict>),
    /// What the judge [finds](Judge::find_again) in the logit of an earlier verdict on the same bytes, by the same weights.
    Again { finding: Finding, of: OutcomeId },
}

/// What scores say.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub decision: Decision,
    pub score: Score,
    pub generator: Option<GeneratorGuess>,
}

impl Judge {
    pub fn verdict(&self, request: &Request, evidence: Evidence, decided_at: OffsetDateTime) -> Verdict {
        let Evidence { observed, grounds, timing, predecessors } = evidence;
        let Observed { image, quality, frames, provenance } = observed;
        let (finding, batch_size, reused_from) = match grounds {
            Grounds::Scored { scores, batch_size } => (self.find(&scores, &request.key.tenant), batch_size, None),
            Grounds::Again { finding, of } => (finding, 0, Some(of)),
            Grounds::Earlier(earlier) => {
                let Verdict { decision, score, mut generator, verdict_id, .. } = *earlier;
                // Earlier versions gave one to the unknown, too.
                if let Some(guess) = generator.as_mut().filter(|guess| guess.label == UNKNOWN) {
                    guess.confidence = None;
                }
                (Finding { decision, score, generator }, 0, Some(verdict_id))
            }
        };
        let Finding { decision, score, generator } = finding;
        Verdict {
            schema: Verdict::SCHEMA.into(),
            verdict_id: OutcomeId::of(&request.key),
            submission_id: request.key.submission_id.clone(),
            tenant: request.key.tenant.clone(),
            image,
            decision,
            score,
            generator,
            model: self.model.clone(),
            quality,
            frames,
            provenance: Some(provenance),
            purpose: request.purpose,
            generation: request.key.generation,
            reused_from,
            supersedes: predecessors.latest,
            previous: predecessors.verdict,
            policy: None,
            decided_by: DecidedBy::Model,
            review: None,
            attempt: request.context.attempt,
            timing_ms: timing,
            batch_size,
            decided_at,
            worker: self.worker.clone(),
            metadata: request.metadata.clone(),
        }
    }

    /// Whether this judge, with this model, would find the same as `earlier` did. The manifest of a version should not change;
    /// this doesn't rely on it. Verdicts without provenance are of versions that judged animations by other pictures.
    pub fn stands_by(&self, earlier: &Verdict) -> bool {
        let policy = self.policy_for(&earlier.tenant);
        let score = score(&policy, earlier.score.logit);
        let novel = |guess: &GeneratorGuess| self.is_novel(guess.novelty) == (guess.label == UNKNOWN);
        earlier.model == self.model
            && earlier.provenance.is_some()
            && earlier.score == score
            && earlier.decision == policy.decide(score.synthetic)
            && earlier.generator.as_ref().is_none_or(novel)
    }

    /// What it finds today in the logit of an earlier verdict, as if the same weights looked at the same bytes again, on the same kind of
    /// device. `None` where that needs more than a verdict keeps: other weights or names, the generator of an image that was not called synthetic, or a
    /// version before verdicts had provenance, which judged animations by other pictures.
    pub fn find_again(&self, earlier: &Verdict) -> Option<Finding> {
        let same = |model: &ModelRef| (&model.sha256, &model.labels) == (&self.model.sha256, &self.model.labels);
        if !same(&earlier.model) || earlier.provenance.is_none() {
            return None;
        }
        let policy = self.policy_for(&earlier.tenant);
        let score = score(&policy, earlier.score.logit);
        let decision = policy.decide(score.synthetic);
        let named = decision == Decision::Synthetic && !self.generators.is_empty();
        let generator = match (named, &earlier.generator) {
            (false, _) => None,
            (true, Some(guess)) => Some(self.guess_again(guess)?),
            (true, None) => return None,
        };
        Some(Finding { decision, score, generator })
    }

    /// The same candidates under today's limit of novelty.
    fn guess_again(&self, earlier: &GeneratorGuess) -> Option<GeneratorGuess> {
        let best = earlier.candidates.first()?;
        let known = self.generators.iter().find(|generator| generator.label == best.label)?;
        let (label, family, confidence) = match self.is_novel(earlier.novelty) {
            true => (UNKNOWN.into(), UNKNOWN.into(), None),
            false => (known.label.clone(), known.family.clone(), Some(best.score)),
        };
        Some(GeneratorGuess { label, family, confidence, ..earlier.clone() })
    }

    /// What a verdict would say of a tenant's image.
    pub fn find(&self, scores: &Scores, tenant: &str) -> Finding {
        let policy = self.policy_for(tenant);
        let score = score(&policy, scores.logit);
        let decision = policy.decide(score.synthetic);
        let generator = (decision == Decision::Synthetic).then(|| self.guess(scores)).flatten();
        Finding { decision, score, generator }
    }

    fn policy_for(&self, tenant: &str) -> Policy {
        Policy { thresholds: self.thresholds.of(tenant, self.policy.thresholds), ..self.policy.clone() }
    }

    fn is_novel(&self, novelty: Option<f32>) -> bool {
        matches!((novelty, self.policy.novelty_limit), (Some(novelty), Some(limit)) if novelty >= limit)
    }

    /// The generator of a synthetic image; `None` if the model has no generator classifier.
    fn guess(&self, scores: &Scores) -> Option<GeneratorGuess> {
        let mut ranked: Vec<(&Generator, f32)> =
            self.generators.iter().zip(scores.generators.iter().copied()).collect();
        ranked.sort_by(|left, right| right.1.total_cmp(&left.1));
        let &(best, confidence) = ranked.first()?;
        let (label, family, confidence) = if self.is_novel(scores.novelty) {
            (UNKNOWN.into(), UNKNOWN.into(), None)
        } else {
            (best.label.clone(), best.family.clone(), Some(confidence))
        };
        let candidates = ranked
            .iter()
            .take(CANDIDATES)
            .map(|(generator, score)| Candidate { label: generator.label.clone(), score: *score })
            .collect();
        Some(GeneratorGuess { label, family, confidence, novelty: scores.novelty, candidates })
    }
}

fn score(policy: &Policy, logit: f32) -> Score {
    Score {
        synthetic: policy.probability(logit),
        logit,
        calibrated: policy.calibration.is_some(),
        threshold_low: policy.thresholds.low,
        threshold_high: policy.thresholds.high,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, ImageFormat, ImageRef, Purpose, SubmissionKey};

    fn judge() -> Judge {
        let generator = |label: &str| Generator { label: label.into(), family: format!("{label}-family") };
        Judge {
            model: ModelRef { version: "1".into(), sha256: "0".repeat(64), labels: "test@1".into(), trained: true },
            policy: Policy { novelty_limit: Some(0.9), ..Policy::default() },
            thresholds: ThresholdSettings::default(),
            generators: vec![generator("gan"), generator("sd"), generator("mj"), generator("dalle")],
            worker: WorkerRef { version: "test".into(), device: "cpu".into() },
        }
    }

    fn verdict(scores: Scores) -> Verdict {
        verdict_on(Grounds::Scored { scores, batch_size: 1 })
    }

    fn verdict_on(grounds: Grounds) -> Verdict {
        let key = SubmissionKey { tenant: "acme".into(), submission_id: "1".into(), generation: 0 };
        let request = Request {
            key,
            image: ImageRef { bucket: "b".into(), key: "k".into(), ..ImageRef::default() },
            deadline: None,
            purpose: Purpose::Live,
            metadata: serde_json::Map::new(),
            context: Context::default(),
        };
        let image = JudgedImage {
            bucket: "b".into(),
            key: "k".into(),
            version_id: None,
            etag: None,
            sha256: "0".repeat(64),
            bytes: 1,
            format: ImageFormat::Png,
            width: 1,
            height: 1,
        };
        let observed = Observed { image, quality: Vec::new(), frames: None, provenance: Provenance::default() };
        let evidence = Evidence { observed, grounds, timing: Timing::default(), predecessors: Predecessors::default() };
        judge().verdict(&request, evidence, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_generator_is_named_only_for_synthetic_images() {
        let generators = vec![0.1, 0.7, 0.15, 0.05];
        let real = verdict(Scores { logit: -4.0, generators: generators.clone(), novelty: Some(0.0) });
        assert_eq!((real.decision, real.generator), (Decision::Real, None));
        let synthetic = verdict(Scores { logit: 4.0, generators, novelty: Some(0.0) });
        let guess = synthetic.generator.unwrap();
        assert_eq!((guess.label.as_str(), guess.family.as_str(), guess.confidence), ("sd", "sd-family", Some(0.7)));
        let names: Vec<_> = guess.candidates.iter().map(|candidate| candidate.label.as_str()).collect();
        assert_eq!(names, ["sd", "mj", "gan"]);
    }

    #[test]
    fn what_fits_no_generator_is_unknown() {
        let guess = verdict(Scores { logit: 4.0, generators: vec![0.1, 0.7, 0.1, 0.1], novelty: Some(0.95) }).generator;
        let guess = guess.unwrap();
        assert_eq!((guess.label.as_str(), guess.family.as_str()), (UNKNOWN, UNKNOWN));
        // How sure it would be of the nearest one says nothing of the unknown.
        assert_eq!((guess.confidence, guess.novelty), (None, Some(0.95)));
        assert_eq!((guess.candidates[0].label.as_str(), guess.candidates[0].score), ("sd", 0.7));
        assert_eq!(verdict(Scores { logit: 4.0, generators: Vec::new(), novelty: None }).generator, None);
    }

    #[test]
    fn the_same_bytes_get_the_same_verdict_which_names_the_first_one() {
        let first = verdict(Scores { logit: 4.0, generators: vec![0.1, 0.7, 0.15, 0.05], novelty: Some(0.3) });
        let again = verdict_on(Grounds::Earlier(Box::new(first.clone())));
        assert_eq!((again.reused_from, again.batch_size), (Some(first.verdict_id), 0));
        assert_eq!((&again.score, &again.generator, again.decision), (&first.score, &first.generator, first.decision));
    }

    #[test]
    fn an_unknown_generator_of_an_earlier_version_loses_its_confidence_when_it_is_taken_over() {
        let mut first = verdict(Scores { logit: 4.0, generators: vec![0.1, 0.7, 0.15, 0.05], novelty: Some(0.95) });
        let guess = first.generator.clone();
        first.generator.as_mut().unwrap().confidence = Some(0.954);
        assert_eq!(verdict_on(Grounds::Earlier(Box::new(first))).generator, guess);
    }

    #[test]
    fn a_judge_stands_by_an_earlier_verdict_only_if_it_would_find_the_same() {
        let first = verdict(Scores { logit: 4.0, generators: vec![0.1, 0.7, 0.15, 0.05], novelty: Some(0.3) });
        // What is written down has been through JSON.
        let first: Verdict = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
        assert!(judge().stands_by(&first));
        assert!(!judge().stands_by(&Verdict { provenance: None, ..first.clone() }));
        let strict = |change: fn(&mut Judge)| {
            let mut judge = judge();
            change(&mut judge);
            judge.stands_by(&first)
        };
        assert!(!strict(|judge| judge.model.version = "2".into()));
        assert!(!strict(|judge| judge.model.sha256 = "1".repeat(64)));
        assert!(!strict(|judge| judge.policy.thresholds.high = 0.99));
        assert!(!strict(|judge| judge.policy.calibration = Some(crate::Calibration { scale: 2.0, bias: 0.0 })));
        assert!(!strict(|judge| judge.policy.novelty_limit = Some(0.2)));
    }

    #[test]
    fn a_stored_logit_under_todays_policy_says_what_the_network_would_say() {
        let todays = Judge {
            policy: Policy {
                thresholds: crate::Thresholds { low: 0.2, high: 0.9 },
                novelty_limit: Some(0.5),
                ..Policy::default()
            },
            model: ModelRef { version: "2".into(), ..judge().model },
            ..judge()
        };
        for (logit, novelty) in [(-4.0, 0.3), (0.0, 0.3), (1.5, 0.3), (4.0, 0.3), (4.0, 0.7), (4.0, 0.95)] {
            let scores = Scores { logit, generators: vec![0.1, 0.7, 0.15, 0.05], novelty: Some(novelty) };
            assert_eq!(
                todays.find_again(&verdict(scores.clone())),
                Some(todays.find(&scores, "acme")),
                "{logit} {novelty}"
            );
        }
        let again =
            todays.find_again(&verdict(Scores { logit: 1.5, generators: vec![0.25; 4], novelty: None })).unwrap();
        assert_eq!((again.decision, again.generator), (Decision::Uncertain, None));
        let first = OutcomeId::of(&SubmissionKey { tenant: "acme".into(), submission_id: "0".into(), generation: 0 });
        assert_eq!(verdict_on(Grounds::Again { finding: again_of(4.0), of: first }).reused_from, Some(first));
    }

    fn again_of(logit: f32) -> Finding {
        judge().find(&Scores { logit, generators: vec![0.1, 0.7, 0.15, 0.05], novelty: None }, "acme")
    }

    #[test]
    fn what_a_verdict_does_not_keep_is_not_made_up() {
        let uncertain = verdict(Scores { logit: 0.0, generators: vec![0.1, 0.7, 0.15, 0.05], novelty: Some(0.3) });
        let lower = Policy { thresholds: crate::Thresholds { low: 0.1, high: 0.4 }, ..judge().policy };
        // It would be synthetic now, and nobody wrote down of which generator.
        assert_eq!(Judge { policy: lower.clone(), ..judge() }.find_again(&uncertain), None);
        let names_none = Judge { policy: lower, generators: Vec::new(), ..judge() };
        assert_eq!(names_none.find_again(&uncertain).unwrap().decision, Decision::Synthetic);
        let other = Judge { model: ModelRef { sha256: "1".repeat(64), ..judge().model }, ..judge() };
        assert_eq!(other.find_again(&uncertain), None);
        assert_eq!(judge().find_again(&Verdict { provenance: None, ..uncertain }), None);
    }

    #[test]
    fn a_tenants_thresholds_decide_and_stand_in_its_verdicts() {
        let cautious = crate::TenantThresholds { low: None, high: Some(0.999) };
        let mut judge = judge();
        let scores = Scores { logit: 4.0, generators: Vec::new(), novelty: None };
        judge.thresholds.tenants.insert("acme".into(), cautious);
        let [acme, other] = ["acme", "other"].map(|tenant| judge.find(&scores, tenant));
        assert_eq!((acme.decision, acme.score.threshold_high), (Decision::Uncertain, 0.999));
        assert_eq!((other.decision, other.score.threshold_high), (Decision::Synthetic, 0.65));
        // An earlier verdict by other thresholds is none that it would find again.
        assert!(!judge.stands_by(&verdict(scores)));
    }

    #[test]
    fn the_document_survives_a_round_trip() {
        let verdict = verdict(Scores { logit: 1.2345678, generators: vec![0.1, 0.7, 0.15, 0.05], novelty: Some(0.3) });
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}
