//! A selection as an audit package: everything read at one moment, each version checked against the ledger before it goes in.

mod covered;

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
};

use crate::{
    archive::{Archive, evidence::Prover, versions::Stored},
    export::{Error, Report, Result, Versions},
    model::{
        derive,
        filter::Selection,
        hit::Hit,
        id::{RecordKey, Seq, Sha256},
        line,
        retention::Retention,
        view::log::log,
    },
    package::{
        self, Item, certificate,
        coverage::Statement,
        load::{Dat, Edrm},
        manifest::{self, Contents, Counting, Manifest, PROGRAM, Query},
        name,
        profile::{Profile, Redaction},
        proofs::{Other, Proof},
        report,
        write::{Output, Writer},
    },
    proof::note::PrivateKey,
    query,
    tables::{self, set::Set},
};

/// What is to be in a package.
#[derive(Debug)]
pub struct PackageAsk {
    pub selection: Selection,
    /// All that is about this person, the directory's records of them too.
    pub person: Option<String>,
    pub versions: Versions,
    pub redaction: Redaction,
    /// Who asks, as the operating system calls them.
    pub user: String,
    pub retention: Retention,
    /// The ledger's key, which signs the manifest; without it the checksums are nobody's word.
    pub key: Option<Arc<PrivateKey>>,
}

/// Writes the package `folder`, which is there whole at the end or not at all. `on` is told after each version and may stop it.
///
/// # Errors
/// [`Error::Unproven`] where the ledger has no checkpoint that covers all that is selected, [`Error::NotSearched`] where the index could
/// not be asked about all; as [`super::export`] otherwise.
pub fn export_package(
    archive: &Archive,
    ask: &PackageAsk,
    folder: &Path,
    on: &mut dyn FnMut(&Report) -> ControlFlow<()>,
) -> Result<Manifest> {
    let made = archive.at_one_moment(|| {
        let evidence = archive.evidence()?.ok_or(Error::Unproven { size: 0 })?;
        let seqs = selected(archive, ask)?;
        if seqs.iter().any(|seq| seq.0.unsigned_abs() > evidence.size) {
            return Err(Error::Unproven { size: evidence.size });
        }
        let time = archive.time_of(evidence.size)?;
        let coverage = covered::statement(archive, ask, archive.vouched(evidence.size)?, (time, evidence.size))?;
        let mut writer = Writer::new(folder)?;
        writer.put(name::CHECKPOINT, evidence.checkpoint.as_bytes())?;
        if let Some((answer, _)) = &evidence.timestamp {
            writer.put(name::TIMESTAMP, answer)?;
        }
        writer.put(name::KEY, format!("{}\n", evidence.key).as_bytes())?;
        writer.put(name::COVERAGE, coverage.text().as_bytes())?;
        let query = query_of(ask);
        let mut files = Files::open(&mut writer, &query, ask.redaction.profile())?;
        let mut reader = archive.version_reader();
        let mut prover = archive.prover(evidence.size);
        writer.put(name::LEDGER, others(archive, &coverage, &mut prover)?.as_bytes())?;
        let mut told = Report::default();
        for (n, seq) in (1..).zip(seqs) {
            let stored = reader.read(seq)?;
            let entry = entry(archive, seq)?;
            let path = prover.path(seq)?;
            files.version(&mut writer, n, &stored, entry, &path, &ask.redaction)?;
            told.versions += 1;
            if on(&told).is_break() {
                return Err(Error::Stopped);
            }
        }
        let (contents, report) = files.finish()?;
        let mut manifest = Manifest {
            format: package::FORMAT,
            program: PROGRAM.to_owned(),
            time,
            user: ask.user.clone(),
            query,
            versions: (if ask.versions == Versions::All { "all" } else { "latest" }).to_owned(),
            profile: ask.redaction.profile(),
            origin: evidence.origin,
            size: evidence.size,
            root: evidence.root.to_string(),
            timestamp: evidence.timestamp.map(|(_, time)| time),
            contents,
            left_out: ask.redaction.profile().left_out(),
            files: std::collections::BTreeMap::new(),
        };
        writer.put(name::REPORT, report.finish(&manifest, &coverage).as_bytes())?;
        writer.put(name::CERTIFICATE, certificate::text(&manifest, &coverage).as_bytes())?;
        manifest.files = manifest::files(writer.close()?);
        writer.put(name::MANIFEST, manifest.text().as_bytes())?;
        let key = ask.key.as_ref().filter(|key| key.public().is_same_key(&evidence.key));
        let key = key.and_then(|key| key.named(&manifest.origin).ok());
        writer.finish(time, key.as_ref())?;
        Ok(manifest)
    });
    made.map_err(|error| match error {
        Error::Write(source) => package::Error::File { path: folder.to_path_buf(), source }.into(),
        other => other,
    })
}

/// The entries that the coverage statement rests on, with their proofs.
fn others(archive: &Archive, coverage: &Statement, prover: &mut Prover<'_>) -> Result<String> {
    let lost = coverage.sources.iter().flat_map(|source| &source.lost_records).map(|lost| lost.seq);
    let mut lines = String::new();
    for seq in coverage.seq.into_iter().chain(lost) {
        let path = prover.path(seq)?.iter().map(ToString::to_string).collect();
        lines += &Other { seq, entry: entry(archive, seq)?, path }.line();
    }
    Ok(lines)
}

/// The line of an entry.
fn entry(archive: &Archive, seq: Seq) -> Result<String> {
    let found = archive.entries_after(Seq(seq.0 - 1), 1)?.pop();
    Ok(found.map(|(_, line)| line).unwrap_or_default())
}

/// The question as the package tells it.
fn query_of(ask: &PackageAsk) -> Query {
    let mut query = Query::of(&ask.selection, ask.person.as_deref());
    let hidden = |text: &String| ask.redaction.asked(text);
    query.person = query.person.as_ref().map(hidden);
    query.text = query.text.as_ref().map(hidden);
    query.participants = query.participants.iter().map(hidden).collect();
    query.organizers = query.organizers.iter().map(hidden).collect();
    query
}

/// Ledger numbers of the versions meant, those of a record together.
fn selected(archive: &Archive, ask: &PackageAsk) -> Result<Vec<Seq>> {
    let mut seqs = Vec::new();
    let mut keys: Vec<RecordKey> = Vec::new();
    let selection = &super::of_person(&ask.selection, ask.person.as_deref());
    let reader = query::Reader::new(archive);
    let reach = match ask.versions {
        Versions::Latest if selection.text.is_none() => reader.for_each_seq(selection, &mut |seq| {
            seqs.push(seq);
            ControlFlow::Continue(())
        })?,
        versions => reader.for_each(selection, &mut |hit| {
            match versions {
                Versions::Latest => seqs.push(hit.seq),
                Versions::All => keys.push(RecordKey { kind: hit.kind, id: hit.id }),
            }
            ControlFlow::Continue(())
        })?,
    };
    if !reach.is_whole() {
        return Err(Error::NotSearched(reach));
    }
    // What is about somebody in an older version alone is told by all versions together.
    if ask.person.is_some() {
        keys.extend(query::by_older_alone(archive, selection)?);
    }
    // Somebody of the directory is told by all versions together: each says what changed.
    let wants_directory = selection.filter.kinds.is_empty() && ask.redaction.profile() != Profile::Pseudonymised;
    if let Some(person) = ask.person.as_ref().filter(|_| wants_directory) {
        keys.extend(archive.people_named(person)?);
    }
    for key in keys {
        seqs.extend(archive.versions(&key)?.into_iter().map(|info| info.seq));
    }
    Ok(seqs)
}

/// The files that grow with each version.
struct Files<'a> {
    records: Output,
    parts: Option<Output>,
    proofs: Output,
    tables: Set<'a>,
    dat: Dat<Output>,
    edrm: Edrm<Output>,
    report: report::Report,
    counting: Counting,
}

impl Files<'_> {
    fn open(writer: &mut Writer, query: &Query, profile: Profile) -> Result<Self> {
        let log = query.only_kind().and_then(log);
        let tables =
            Set::new(log, &mut |file| writer.file(&format!("{}/{file}", name::TABLES)).map_err(io::Error::other));
        Ok(Self {
            tables: tables.map_err(Error::Write)?,
            records: writer.file(name::RECORDS)?,
            parts: if profile == Profile::Full { Some(writer.file(name::PARTS)?) } else { None },
            proofs: writer.file(name::PROOFS)?,
            dat: Dat::new(writer.file(name::DAT)?).map_err(Error::Write)?,
            edrm: Edrm::new(writer.file(name::EDRM)?).map_err(Error::Write)?,
            report: report::Report::default(),
            counting: Counting::default(),
        })
    }

    fn version(
        &mut self,
        writer: &mut Writer,
        n: u64,
        stored: &Stored,
        entry: String,
        path: &[Sha256],
        redaction: &Redaction,
    ) -> Result<()> {
        let info = &stored.info;
        let asked = stored.document.asked_span();
        let json = redaction.document(&stored.json);
        let derived = derive::shown(&info.key, asked, &json);
        let hit = Hit::of(&info.key, info.version, info.seq, &derived);
        let item = Item {
            n,
            key: &info.key,
            version: info.version,
            seq: info.seq,
            asked,
            json: &json,
            derived: &derived,
            hit: &hit,
        };
        let proof = Proof {
            n,
            seq: info.seq,
            kind: info.key.kind.name().to_owned(),
            id: info.key.id.clone(),
            version: info.version,
            asked: asked.map(|span| span.to_string()),
            entry,
            path: path.iter().map(ToString::to_string).collect(),
        };
        let own = format!("{json}\n");
        writer.put(&item.native(), own.as_bytes())?;
        let mut written =
            self.records.write_all(own.as_bytes()).and_then(|()| self.proofs.write_all(proof.line().as_bytes()));
        let mut bodies = Vec::new();
        if let Some(parts) = &mut self.parts {
            let mut lines = Vec::new();
            line::write(&mut lines, info.seq, &info.key, info.version, &stored.document.parts);
            written = written.and_then(|()| parts.write_all(&lines));
            bodies = stored.document.parts.iter().map(|part| part.body.len()).collect();
        }
        written
            .and_then(|()| self.tables.row(&tables::Row { hit: &hit, json: &json }))
            .and_then(|()| self.dat.item(&item))
            .and_then(|()| self.edrm.item(&item))
            .map_err(Error::Write)?;
        self.report.item(&item);
        self.counting.version(&info.key, info.seq, bodies.into_iter());
        Ok(())
    }

    fn finish(self) -> Result<(Contents, report::Report)> {
        self.tables.finish().map_err(Error::Write)?;
        self.dat.finish().and_then(|_| self.edrm.finish()).map_err(Error::Write)?;
        Ok((self.counting.finish(), self.report))
    }
}
