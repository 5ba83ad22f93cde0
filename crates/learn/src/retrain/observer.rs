//! Who is told how the work goes.

/// A part of the work with a length of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Steps of the encoder's training; `done` of them by an earlier run.
    Training { done: u64, steps: u64 },
    /// Images that go through the encoder.
    Embedding { images: u64 },
    /// Held-out images that candidate and incumbent judge.
    Comparing { images: u64 },
}

/// One step of the encoder's training.
#[derive(Clone, Copy, Debug)]
pub struct StepDone {
    pub epoch: u64,
    pub epochs: u64,
    pub step: u64,
    pub steps: u64,
    /// Of this step.
    pub images: usize,
    pub loss: f64,
    pub rate: f64,
}

/// Is told how a training goes.
pub trait TrainingObserver {
    /// Comes before anything else that is told of a stage.
    fn stage_begun(&mut self, stage: Stage);
    fn step_done(&mut self, step: &StepDone);
    /// So many of the stage's images are embedded.
    fn images_embedded(&mut self, done: u64, all: u64);
    fn checkpoint_written(&mut self, steps: u64);
    /// Of a cross-validation; from 0.
    fn fold_begun(&mut self, fold: usize, folds: usize);
}

/// Is told how a retrain run goes.
pub trait Observer: TrainingObserver + Send {
    /// What the run has found or does next, in words.
    fn reported(&mut self, words: &str);
    fn images_compared(&mut self, done: u64, all: u64);
}
