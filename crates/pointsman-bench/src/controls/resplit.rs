//! Altered copies of a log: who is trained on, who is measured, with which outcomes.

use pointsman_evals::{EvalLog, Outcome, Split};

/// Deals the outcomes of the training prompts out anew: each keeps some prompt's outcomes of all models, but not its own.
/// Means of models, tasks aside, stay what they were; what a text says about them is gone.
pub(super) fn shuffle_outcomes(log: &mut EvalLog, seed: u64) {
    let train: Vec<u32> =
        (0_u32..).zip(&log.prompts).filter(|(_, p)| p.split == Split::Train).map(|(i, _)| i).collect();
    let mut dealt = train.clone();
    fastrand::Rng::with_seed(seed).shuffle(&mut dealt);
    let mut to: Vec<u32> = (0_u32..).take(log.prompts.len()).collect();
    for (from, to_prompt) in train.into_iter().zip(dealt) {
        to[from as usize] = to_prompt;
    }
    for outcome in &mut log.outcomes {
        outcome.prompt = to[outcome.prompt as usize];
    }
    log.outcomes.sort_by_key(|o: &Outcome| (o.prompt, o.model));
    // Labels say what the outcomes are about, so they go with them.
    let labels: Vec<_> = log.prompts.iter().map(|p| (p.task, p.dataset)).collect();
    for (from, &to) in to.iter().enumerate() {
        (log.prompts[to as usize].task, log.prompts[to as usize].dataset) = labels[from];
    }
}

/// Removes a model's outcomes; its name stays, so that positions keep their meaning.
pub(super) fn remove_model(log: &mut EvalLog, model: u32) {
    log.outcomes.retain(|o| o.model != model);
}

/// Keeps `n` training prompts drawn at random. A group may be cut: what is left of it is still on one side of the split.
pub(super) fn keep_training_prompts(log: &mut EvalLog, n: usize, seed: u64) {
    let mut train: Vec<usize> = (0..log.prompts.len()).filter(|&i| log.prompts[i].split == Split::Train).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut train);
    for &i in train.iter().skip(n) {
        log.prompts[i].split = Split::Calibration;
    }
}

/// The latest `share` of train and evaluated prompts becomes test, all earlier ones train. `None` where a time stamp is
/// missing, or all are the same.
pub(super) fn by_time(log: &mut EvalLog, share: f64) -> Option<()> {
    let mut part: Vec<usize> =
        (0..log.prompts.len()).filter(|&i| matches!(log.prompts[i].split, Split::Train | Split::Test)).collect();
    if part.iter().any(|&i| log.prompts[i].timestamp_us.is_none()) {
        return None;
    }
    part.sort_by_key(|&i| (log.prompts[i].timestamp_us, i));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let first = part.len() - (part.len() as f64 * share) as usize;
    let boundary = log.prompts[*part.get(first)?].timestamp_us;
    let is_late = |log: &EvalLog, i: usize| log.prompts[i].timestamp_us >= boundary;
    if part.iter().all(|&i| is_late(log, i)) {
        return None;
    }
    for i in part {
        log.prompts[i].split = if is_late(log, i) { Split::Test } else { Split::Train };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn shuffling_keeps_means_and_leaves_the_evaluated_split_alone() {
        let mut log = testing::log(200, 50, 1);
        let before = log.clone();
        shuffle_outcomes(&mut log, 7);
        let mean = |log: &EvalLog, m: u32| log.outcomes.iter().filter(|o| o.model == m).map(|o| o.score).sum::<f32>();
        for m in 0..4 {
            assert!((mean(&log, m) - mean(&before, m)).abs() < 1e-3);
        }
        let test = |log: &EvalLog| log.outcomes.iter().filter(|o| o.prompt >= 200).copied().collect::<Vec<_>>();
        assert_eq!(format!("{:?}", test(&log)), format!("{:?}", test(&before)));
        assert_ne!(format!("{:?}", log.outcomes), format!("{:?}", before.outcomes));
        assert!(log.outcomes.is_sorted_by_key(|o| (o.prompt, o.model)));
    }

    #[test]
    fn the_latest_prompts_are_evaluated() {
        let mut log = testing::log(80, 20, 2);
        assert!(by_time(&mut log, 0.2).is_none(), "no time stamps");
        for (i, prompt) in (0_i64..).zip(&mut log.prompts) {
            prompt.timestamp_us = Some(-i);
        }
        by_time(&mut log, 0.2).expect("time stamps");
        assert!(log.prompts.iter().enumerate().all(|(i, p)| (p.split == Split::Test) == (i < 20)));
        for prompt in &mut log.prompts {
            prompt.timestamp_us = Some(5);
        }
        assert!(by_time(&mut log, 0.2).is_none(), "all at once");
    }

    #[test]
    fn subsamples_have_their_size_and_differ() {
        let (mut a, mut b) = (testing::log(80, 20, 2), testing::log(80, 20, 2));
        keep_training_prompts(&mut a, 30, 1);
        keep_training_prompts(&mut b, 30, 2);
        let kept = |log: &EvalLog| log.prompts.iter().map(|p| p.split == Split::Train).collect::<Vec<_>>();
        assert_eq!(kept(&a).iter().filter(|k| **k).count(), 30);
        assert_ne!(kept(&a), kept(&b));
    }
}
