//! Scores as a table for people.

use voxage_contract::training::{Baseline, Evaluation, Scores};

/// The scores of an evaluation, overall and by part, beside the baseline's, and those of a ridge.
pub fn evaluation(evaluation: &Evaluation) -> String {
    let test = &evaluation.test;
    let mut text = format!(
        "{:16} {:>5} {:>7} {:>7} {:>7} {:>7}   mean age {:.1}: {:>6} {:>6}\n",
        "test speakers", "n", "RMSE", "MAE", "R²", "r", test.baseline.age, "RMSE", "MAE"
    );
    text += &line("all", &test.all, Some(&test.baseline));
    for cell in test.by_age_band.iter().chain(&test.by_gender) {
        // Within a part there is little variance to explain: only the errors say something.
        let scores = Scores { r2: None, pearson: None, ..cell.scores };
        text += &line(&cell.name, &scores, Some(&cell.baseline));
    }
    if let Some(ridge) = &evaluation.ridge {
        text += &line("ridge", &ridge.scores, None);
    }
    if test.all.n == 0 {
        text +=
            "there is no speaker with an age to measure it on: add some, or raise --test-share\n";
    }
    text.trim_end().to_owned()
}

fn line(name: &str, scores: &Scores, baseline: Option<&Baseline>) -> String {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    let Scores { n, rmse, mae, r2, pearson, .. } = scores;
    let own = [rmse, mae, r2, pearson].map(|score| format!(" {:>7}", number(*score))).concat();
    let beside = baseline.map_or(String::new(), |Baseline { rmse, mae, .. }| {
        format!("   {:14} {:>6} {:>6}", "", number(*rmse), number(*mae))
    });
    format!("{name:16} {n:>5}{own}{beside}\n")
}
