//! Scores as a table for people.

use voxage_contract::training::{Baseline, Evaluation, Scores};

/// The scores of an evaluation, overall and by part, beside the baseline's.
pub fn evaluation(evaluation: &Evaluation) -> String {
    let test = &evaluation.test;
    let mut text = format!(
        "{:16} {:>5} {:>7} {:>7} {:>7} {:>7}   mean age {:.1}: {:>6} {:>6}\n",
        "test speakers", "n", "RMSE", "MAE", "R²", "r", test.baseline.age, "RMSE", "MAE"
    );
    text += &line("all", &test.all, &test.baseline);
    for cell in test.by_age_band.iter().chain(&test.by_gender) {
        // Within a part there is little variance to explain: only the errors say something.
        let scores = Scores { r2: None, pearson: None, ..cell.scores };
        text += &line(&cell.name, &scores, &cell.baseline);
    }
    if test.all.n == 0 {
        text +=
            "there is no speaker with an age to measure it on: add some, or raise --test-share\n";
    }
    text.trim_end().to_owned()
}

fn line(name: &str, scores: &Scores, baseline: &Baseline) -> String {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    format!(
        "{name:16} {:>5} {:>7} {:>7} {:>7} {:>7}   {:14} {:>6} {:>6}\n",
        scores.n,
        number(scores.rmse),
        number(scores.mae),
        number(scores.r2),
        number(scores.pearson),
        "",
        number(baseline.rmse),
        number(baseline.mae),
    )
}
