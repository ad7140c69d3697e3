//! `pointsman show`.

use pointsman::Router;
use pointsman::artifact::{Document, Mode, TaskSource};

use crate::args::Show;
use crate::terminal::{print, show};
use crate::text::{percent, table, usd_per_thousand};

pub(crate) fn run(args: &Show) -> anyhow::Result<()> {
    let router = Router::load(&args.router)?;
    if args.json {
        let mut json = serde_json::to_value(router.document())?;
        json["identity"] = router.identity().into();
        print(serde_json::to_string_pretty(&json)?);
    } else {
        show(text(router.document(), router.identity()));
    }
    Ok(())
}

fn text(document: &Document, identity: &str) -> String {
    let provenance = &document.provenance;
    let source = match document.task_source {
        TaskSource::Labels => "from the log's labels",
        TaskSource::Clusters => "found by clustering",
        TaskSource::None => "not told apart",
    };
    let mode = match document.decision.mode {
        Mode::Learned => format!(
            "by prediction, trusted to {:.0} %, at {} standard errors",
            100.0 * document.decision.trust,
            document.decision.confidence
        ),
        Mode::Static => "the best static choice: training found nothing to gain".to_owned(),
    };
    let base = document.base.as_ref().map_or_else(String::new, |base| {
        format!("base        an embedding of {} dimensions, sha256:{}\n", base.dimensions, base.sha256)
    });
    let mut text = format!(
        "identity    sha256:{identity}\n\
         trained     on {} prompts, {} outcomes, by pointsman {} (seed {})\n\
         tasks       {} {source}\n{base}\
         decides     {mode}\n\n",
        provenance.n_prompts,
        provenance.n_outcomes,
        provenance.tool_version,
        provenance.seed,
        document.tasks.len(),
    );
    let models = document.models.iter().zip(&document.statics);
    let rows = models.map(|(model, means)| {
        vec![
            model.clone(),
            percent(means.quality),
            means.cost_usd.map_or("–".into(), usd_per_thousand),
            means.latency_ms.map_or("–".into(), |latency| format!("{latency:.0}")),
            means.outcomes.to_string(),
        ]
    });
    text.push_str(&table(&["model", "mean quality", "USD/1,000 calls", "ms", "outcomes"], rows.collect()));
    text.push_str("\n\nout-of-fold curve: what each λ (USD per unit of quality) should cost and bring\n");
    let costs_known = document.statics.iter().any(|means| means.cost_usd.is_some());
    let rows = document.curve.iter().map(|point| {
        let favourite = point.shares.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let favourite = favourite
            .map_or_else(String::new, |(model, share)| format!("{} ({:.0} %)", document.models[model], 100.0 * share));
        vec![
            point.lambda.map_or("∞".into(), |lambda| format!("{lambda:.3e}")),
            if costs_known { usd_per_thousand(point.cost) } else { "–".into() },
            percent(point.quality),
            favourite,
        ]
    });
    text.push_str(&table(&["λ", "USD/1,000 calls", "quality", "most called"], rows.collect()));
    text
}
