//! How long an open archive takes to answer, question after question, in one process.
//!
//! `CALLVAULT_OPEN=ARCHIVE CALLVAULT_QUERIES=FILE cargo bench --bench query`. The file has questions by family as
//! `{"participant":[{"q":"…","from":"…","to":"…"},…],"text":[…],…}`: `text` is looked for as a phrase, all others are participants. Each
//! asks for the newest 50. `CALLVAULT_ROUNDS`: how many of each family (default 1,000).

use std::{
    collections::BTreeMap,
    env, fs,
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use callvault::{
    archive::{Archive, Folder},
    model::{
        filter::{Filter, Selection},
        time::Timestamp,
    },
    query,
};
use serde::Deserialize;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Deserialize)]
struct Question {
    q: String,
    from: String,
    to: String,
}

#[expect(clippy::print_stdout, reason = "its figures are the result")]
fn main() -> Result<()> {
    let (Some(folder), Some(file)) = (env::var_os("CALLVAULT_OPEN"), env::var_os("CALLVAULT_QUERIES")) else {
        println!("CALLVAULT_OPEN names an archive, CALLVAULT_QUERIES a file of questions");
        return Ok(());
    };
    let rounds: usize = env::var("CALLVAULT_ROUNDS").map_or(Ok(1000), |text| text.parse())?;
    let archive = Archive::open(&Folder::new(Path::new(&folder)))?;
    let reader = query::Reader::new(&archive);
    let families: BTreeMap<String, Vec<Question>> = serde_json::from_slice(&fs::read(file)?)?;
    println!("| family | questions | hits | p50 ms | p99 ms | CPU ms |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (family, questions) in &families {
        let (mut times, mut hits, before) = (Vec::with_capacity(rounds), 0, cpu_s()?);
        for question in questions.iter().cycle().take(rounds) {
            let selection = selection(family, question)?;
            let began = Instant::now();
            reader.for_each(&selection, &mut |_| {
                hits += 1;
                ControlFlow::Continue(())
            })?;
            times.push(began.elapsed());
        }
        let cpu_ms = (cpu_s()? - before) * 1e3 / f64::from(u32::try_from(times.len())?);
        times.sort_unstable();
        let at = |share: usize| ms(times.get(times.len() * share / 100).copied().unwrap_or_default());
        println!("| {family} | {} | {hits} | {:.3} | {:.3} | {cpu_ms:.3} |", times.len(), at(50), at(99));
    }
    Ok(())
}

fn selection(family: &str, question: &Question) -> Result<Selection> {
    let time = |text: &str| Timestamp::parse(text).ok_or("a question has a time that is none");
    let mut filter = Filter { from: Some(time(&question.from)?), to: Some(time(&question.to)?), ..Filter::default() };
    let text = (family == "text").then(|| format!("\"{}\"", question.q.replace('"', " ")));
    if text.is_none() {
        filter.participants.push(question.q.clone());
    }
    Ok(Selection { text, filter, limit: Some(50), ..Selection::default() })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// CPU seconds of this process, in user and system mode; in hundredths of a second on every Linux.
fn cpu_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    Ok(fields.skip(11).take(2).map(str::parse::<f64>).sum::<std::result::Result<f64, _>>()? / 100.0)
}
