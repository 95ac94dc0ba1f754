//! How long an answer takes in a process that has the archive open: what a server or a shell would feel.
//!
//! `CALLVAULT_ARCHIVE=FOLDER CALLVAULT_QUERIES=FILE cargo bench --bench query`. The file is JSON: for each family of questions (`participant`,
//! `upn`, `phone`, `name`, `text`) a list of `{"q", "from", "to"}`. Each line says, for a family: CPU ms a question in the mean, wall ms of the
//! median and of one in a hundred, hits in all.

use std::{env, fs, ops::ControlFlow, path::Path, time::Instant};

use callvault::{
    archive::{Archive, Folder},
    model::{
        filter::{Filter, Selection, Sort},
        time::Timestamp,
    },
    query,
};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[expect(clippy::print_stdout, reason = "its figures are the result")]
fn main() -> Result<()> {
    let (Some(archive), Some(queries)) = (env::var_os("CALLVAULT_ARCHIVE"), env::var_os("CALLVAULT_QUERIES")) else {
        println!("CALLVAULT_ARCHIVE and CALLVAULT_QUERIES name what is to be asked");
        return Ok(());
    };
    let archive = Archive::open(&Folder::new(Path::new(&archive)))?;
    let queries: Value = serde_json::from_str(&fs::read_to_string(queries)?)?;
    for family in ["participant", "upn", "phone", "name", "text"] {
        let asked = queries[family].as_array().cloned().unwrap_or_default();
        let selections: Vec<Selection> = asked.iter().map(|asked| selection(family, asked)).collect();
        if let Some(first) = selections.first() {
            answer(&archive, first)?;
            println!("{family:<12}{}", measure(&archive, &selections)?);
        }
    }
    Ok(())
}

fn selection(family: &str, asked: &Value) -> Selection {
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let time = |name: &str| Timestamp::parse_argument(&text(name), Timestamp(0)).ok();
    let mut filter = Filter { from: time("from"), to: time("to"), ..Filter::default() };
    let phrase = (family == "text").then(|| format!("\"{}\"", text("q")));
    if phrase.is_none() {
        filter.participants = vec![text("q")];
    }
    Selection { text: phrase, filter, sort: Sort::Newest, limit: Some(50) }
}

fn answer(archive: &Archive, selection: &Selection) -> Result<u64> {
    let mut hits = 0;
    query::for_each(archive, selection, &mut |_| {
        hits += 1;
        ControlFlow::Continue(())
    })?;
    Ok(hits)
}

#[expect(clippy::cast_precision_loss, reason = "figures to be looked at")]
fn measure(archive: &Archive, selections: &[Selection]) -> Result<String> {
    let (mut hits, mut waits_ms) = (0, Vec::new());
    let cpu_before = cpu_ns()?;
    for selection in selections {
        let began = Instant::now();
        hits += answer(archive, selection)?;
        waits_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let cpu_ms = (cpu_ns()? - cpu_before) as f64 / 1e6 / selections.len() as f64;
    waits_ms.sort_by(f64::total_cmp);
    let (median, late) = (waits_ms[waits_ms.len() / 2], waits_ms[(waits_ms.len() * 99 / 100).min(waits_ms.len() - 1)]);
    Ok(format!("{cpu_ms:.3} {median:.3} {late:.3} hits {hits}"))
}

/// Of this thread, which does all the work.
fn cpu_ns() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
}
