//! Figures with their intervals.

use serde::Serialize;

use review::numbers::{AuditNumbers, CalibrationBin, Estimate};
use review::{Flow, Numbers, ReviewerNumbers};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct NumbersPage {
    tenants: Vec<String>,
    tenant: Option<String>,
    since: String,
    flow: Flow,
    quality: Vec<Quality>,
    calibration: Vec<Calibration>,
    agreement: Option<Share>,
    reviewers: Option<Vec<Reviewer>>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Share {
    value: Option<f64>,
    interval: Option<[f64; 2]>,
    n: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Quality {
    model_version: String,
    week: String,
    audited: u64,
    precision: Share,
    misses: Share,
    calibration_error: Share,
}

#[derive(Clone, Debug, Serialize)]
struct Calibration {
    model_version: String,
    bins: Vec<Bin>,
}

#[derive(Clone, Debug, Serialize)]
struct Bin {
    week: String,
    from: f64,
    to: f64,
    stated: Option<f64>,
    share: Share,
}

#[derive(Clone, Debug, Serialize)]
struct Reviewer {
    name: String,
    votes: u64,
    per_hour: Option<f64>,
    accuracy: Share,
    kappa: Option<f64>,
    by_eye: Option<f64>,
    undone: u64,
}

impl NumbersPage {
    pub(crate) fn of(numbers: Numbers, tenant: Option<String>, since: String) -> NumbersPage {
        NumbersPage {
            quality: numbers.audit.iter().map(quality).collect(),
            calibration: calibration(&numbers.audit),
            tenants: numbers.tenants,
            tenant,
            since,
            flow: numbers.flow,
            agreement: numbers.agreement.map(share),
            reviewers: numbers.reviewers.map(|all| all.into_iter().map(reviewer).collect()),
        }
    }
}

fn share(estimate: Estimate) -> Share {
    Share { value: estimate.value, interval: estimate.interval, n: estimate.items }
}

fn quality(of: &AuditNumbers) -> Quality {
    Quality {
        model_version: of.model_version.clone(),
        week: of.week.to_string(),
        audited: of.strata.iter().map(|stratum| stratum.answered()).sum(),
        precision: share(of.precision),
        misses: share(of.misses),
        calibration_error: share(of.calibration.error),
    }
}

/// By model, the weeks in their order; bins into which nothing fell are left out.
fn calibration(audit: &[AuditNumbers]) -> Vec<Calibration> {
    let mut models: Vec<Calibration> = Vec::new();
    for of in audit {
        let filled = of.calibration.bins.iter().filter(|bin| bin.synthetic.items > 0);
        let bins: Vec<Bin> = filled.map(|bin| self::bin(bin, of.week.to_string())).collect();
        if bins.is_empty() {
            continue;
        }
        match models.iter_mut().find(|model| model.model_version == of.model_version) {
            Some(model) => model.bins.extend(bins),
            None => models.push(Calibration { model_version: of.model_version.clone(), bins }),
        }
    }
    models
}

fn bin(bin: &CalibrationBin, week: String) -> Bin {
    Bin { week, from: bin.from, to: bin.to, stated: bin.stated, share: share(bin.synthetic) }
}

fn reviewer(of: ReviewerNumbers) -> Reviewer {
    Reviewer {
        accuracy: of.accuracy.as_ref().map(|accuracy| share(accuracy.golden)).unwrap_or_default(),
        name: of.name,
        votes: of.votes,
        per_hour: of.per_hour,
        kappa: of.kappa,
        by_eye: of.by_eye,
        undone: of.undone,
    }
}
