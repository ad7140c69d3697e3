//! Means over repeated runs, and how sure one can be of them.

/// A mean over runs with half the width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mean {
    pub(crate) value: f64,
    /// `None` for a single run.
    pub(crate) half_width: Option<f64>,
}

impl Mean {
    /// Mean of `values`; `overlap` is the evaluated share over the training share of each run, 0 for independent runs.
    ///
    /// Runs that share training prompts vary together, and the usual standard error is too small; the variance of the
    /// mean is then taken as s² · (1/J + overlap). Student's t with J − 1 degrees of freedom. `None` without values.
    ///
    /// # References
    ///
    /// Nadeau and Bengio, *Inference for the Generalization Error*, Machine Learning 52 (2003), section 3.
    pub(crate) fn of(values: impl IntoIterator<Item = Option<f64>>, overlap: f64) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().flatten().collect();
        let n = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let value = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - value) * (v - value)).sum();
        let half_width = (values.len() > 1).then(|| {
            let variance = squares / (n - 1.0) * (1.0 / n + overlap);
            student_95(values.len() - 1) * variance.sqrt()
        });
        Some(Self { value, half_width })
    }
}

/// The 97.5 % point of Student's t, by the expansion of Cornish and Fisher about the normal; for few degrees of
/// freedom, where that fails, by table.
fn student_95(degrees: usize) -> f64 {
    const TABLE: [f64; 8] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306];
    if let Some(value) = TABLE.get(degrees - 1) {
        return *value;
    }
    let (z, v) = (1.959_964_f64, degrees as f64);
    z + (z.powi(3) + z) / (4.0 * v) + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * v * v)
}
