//! The ledger as a Merkle tree: every leaf made again, every checkpoint against the root over as many entries and against who signs.
//!
//! A leaf is the line of an entry. That the hashes in the line are those of the bytes stored, the content's examination says.

use std::collections::{BTreeMap, HashMap};

use crate::{
    archive::{
        Archive,
        checkpoints::{KEPT_HEIGHTS, Stored},
        ledger::Entry,
    },
    model::{
        id::{Seq, Sha256},
        time::Timestamp,
    },
    proof::{
        Hash,
        checkpoint::Checkpoint,
        note::{Note as SignedNote, PublicKey},
        timestamp,
        tree::{Edge, Node},
    },
    verify::{Ask, Finding, Note, Result, Summary, What},
};

/// A checkpoint that was kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where it comes from, for messages.
    pub name: String,
    /// The signed note.
    pub note: String,
}

/// What entries say of who signs.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) keys: Vec<(Seq, Entry)>,
    pub(super) late: Vec<(Seq, Entry)>,
    /// What others than this examine: accesses, disposals, holds.
    pub(super) others: Vec<(Seq, Entry)>,
    /// Runs that were entered, and the last that says what was covered.
    pub(super) runs: Vec<(Seq, Timestamp)>,
    pub(super) coverage: Option<(Seq, Entry)>,
}

impl Said {
    pub(super) fn hear(&mut self, seq: Seq, entry: &Entry) {
        match entry {
            Entry::Key { .. } => self.keys.push((seq, entry.clone())),
            Entry::SignedLate { .. } => self.late.push((seq, entry.clone())),
            Entry::Journal { .. } | Entry::Purged { .. } | Entry::HoldAdded { .. } => {
                self.others.push((seq, entry.clone()));
            }
            Entry::Run { coverage, ended, .. } => {
                self.runs.push((seq, *ended));
                if !coverage.is_empty() {
                    self.coverage = Some((seq, entry.clone()));
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, other: Said) {
        self.keys.extend(other.keys);
        self.late.extend(other.late);
        self.others.extend(other.others);
        self.runs.extend(other.runs);
        let latest = |coverage: &Option<(Seq, Entry)>| coverage.as_ref().map(|(seq, _)| *seq);
        if latest(&other.coverage) > latest(&self.coverage) {
            self.coverage = other.coverage;
        }
    }
}

/// The tree as it is made again.
pub(super) struct Tree {
    stored: Vec<Stored>,
    /// Nodes as they are kept, until each was compared.
    nodes: HashMap<Node, Vec<u8>>,
    faulty_nodes: Vec<Node>,
    edge: Edge,
    /// Leaves of stretches that came before their turn, by the number before them.
    waiting: BTreeMap<Seq, Vec<Hash>>,
    /// Roots over so many entries, of those that somebody asks about.
    roots: BTreeMap<u64, Option<Hash>>,
    said: Said,
}

/// A key and from where on it signs.
struct Signer {
    from: u64,
    origin: String,
    key: PublicKey,
}

impl Tree {
    /// Reads checkpoints and nodes, and up to where all of it is looked at, at one moment.
    pub(super) fn begin(archive: &Archive, ask: &Ask, summary: &mut Summary) -> Result<Self> {
        let mut nodes = HashMap::new();
        let (head, stored) = archive.at_one_moment(|| {
            archive.each_node(&mut |place, hash| {
                nodes.insert(place, hash);
            })?;
            Ok::<_, crate::archive::Error>((archive.head()?, archive.checkpoints()?))
        })?;
        summary.head = head;
        let kept = ask.against.iter().filter_map(|kept| checkpoint(&kept.note).ok());
        let sizes = stored.iter().map(|stored| stored.size).chain(kept.map(|checkpoint| checkpoint.size));
        let roots = sizes.map(|size| (size, None)).collect();
        let mut tree = Self {
            stored,
            nodes,
            faulty_nodes: Vec::new(),
            edge: Edge::default(),
            waiting: BTreeMap::new(),
            roots,
            said: Said::default(),
        };
        tree.note_root();
        Ok(tree)
    }

    /// Takes in the leaves of a stretch and what it says of keys, in whatever order stretches come.
    pub(super) fn take(&mut self, after: Seq, leaves: Vec<Hash>, said: Said) {
        self.said.add(said);
        self.waiting.insert(after, leaves);
        while let Some(leaves) = self.waiting.remove(&Seq(i64::try_from(self.edge.size()).unwrap_or(i64::MAX))) {
            if leaves.is_empty() {
                break;
            }
            for leaf in leaves {
                self.push(leaf);
            }
        }
    }

    fn push(&mut self, leaf: Hash) {
        let Self { nodes, faulty_nodes, edge, .. } = self;
        let signed = self.stored.last().map_or(0, |stored| stored.size);
        edge.push(leaf, &mut |place, hash| {
            let is_kept = place.0.is_multiple_of(KEPT_HEIGHTS) && (place.1 + 1) << place.0 <= signed;
            if is_kept && nodes.remove(&place).is_none_or(|stored| stored != hash) {
                faulty_nodes.push(place);
            }
        });
        self.note_root();
    }

    fn note_root(&mut self) {
        if let Some(root) = self.roots.get_mut(&self.edge.size()) {
            *root = Some(self.edge.root());
        }
    }

    /// What the entries say of accesses, disposals and holds.
    pub(super) fn others(&mut self) -> Vec<(Seq, Entry)> {
        std::mem::take(&mut self.said.others)
    }

    /// Compares what was made with what is signed.
    ///
    /// Returns the last statement of what was covered.
    pub(super) fn finish(mut self, ask: &Ask, summary: &mut Summary) -> Option<(Seq, Entry)> {
        let head = summary.head.0.unsigned_abs();
        if self.edge.size() < head && !self.stored.is_empty() {
            // Entries are missing, which was told: nothing after them has the root that was signed.
            let from = self.edge.size() + 1;
            let message =
                "from here on no entry can be compared with what was signed: one before is missing or unreadable";
            summary.add(Finding::new(What::Checkpoint, message).seq(seq(from)));
        }
        for place in &self.faulty_nodes {
            let message =
                format!("the node of height {} over the entries from here is not theirs, or not there", place.0);
            summary.add(Finding::new(What::Checkpoint, message).seq(seq((place.1 << place.0) + 1)));
        }
        for place in self.nodes.keys() {
            let message =
                format!("there is a node of the tree where none belongs: height {}, number {}", place.0, place.1);
            summary.add(Finding::new(What::Checkpoint, message));
        }
        self.said.keys.sort_by_key(|(seq, _)| *seq);
        let signers = self.signers(summary);
        self.late(&signers, summary);
        self.kept(&signers, summary);
        summary.checkpoints = self.stored.len() as u64;
        match (self.stored.last(), signers.last()) {
            (None, None) => summary.notes.push(Note::NotSigned),
            (None, Some(_)) => {
                summary.add(Finding::new(What::Checkpoint, "the ledger names a key, and there is no checkpoint"));
            }
            (Some(newest), _) if newest.size < head => {
                let message = format!(
                    "entries from here to {head} are covered by no checkpoint: whoever wrote them had not the key"
                );
                summary.add(Finding::new(What::Checkpoint, message).seq(seq(newest.size + 1)));
            }
            (Some(newest), _) if newest.size > head => {
                let message =
                    format!("a checkpoint covers {} entries and there are {head}: the end is cut off", newest.size);
                summary.add(Finding::new(What::Checkpoint, message).seq(summary.head));
            }
            (Some(_), _) => {}
        }
        for stored in &self.stored {
            let name = format!("the checkpoint over {} entries", stored.size);
            match checkpoint(&stored.note) {
                Ok(read) if read.size == stored.size => {
                    self.compare(&name, &stored.note, &read, &signers, summary);
                    stamp(&name, stored, summary);
                }
                Ok(read) => {
                    let message = format!("{name} says that it covers {}", read.size);
                    summary.add(Finding::new(What::Checkpoint, message).seq(seq(stored.size)));
                }
                Err(error) => {
                    summary.add(Finding::new(What::Checkpoint, format!("{name}: {error}")).seq(seq(stored.size)));
                }
            }
        }
        for kept in &ask.against {
            match checkpoint(&kept.note) {
                Ok(read) if read.size > head => {
                    let message = format!(
                        "{} covers {} entries and there are {head}: entries are gone, or an older copy was put back",
                        kept.name, read.size
                    );
                    summary.add(Finding::new(What::Checkpoint, message).seq(summary.head));
                }
                Ok(read) => self.compare(&kept.name, &kept.note, &read, &signers, summary),
                Err(error) => summary.add(Finding::new(What::Checkpoint, format!("{}: {error}", kept.name))),
            }
        }
        if let (Some(expected), Some(signer)) = (&ask.key, signers.last())
            && !signer.key.is_same_key(expected)
        {
            let message = format!("the ledger names {} as who signs it, and the key at hand is another", signer.key);
            summary.add(Finding::new(What::Checkpoint, message).seq(seq(signer.from)));
        }
        if ask.key.is_some() && signers.is_empty() && !self.stored.is_empty() {
            summary.add(Finding::new(What::Checkpoint, "there are checkpoints, and the ledger names no key"));
        }
        self.said.coverage
    }

    /// One checkpoint against the root and against who signed then.
    fn compare(&self, name: &str, note: &str, read: &Checkpoint, signers: &[Signer], summary: &mut Summary) {
        let at = seq(read.size);
        let signer = signers.iter().rev().find(|signer| signer.from <= read.size);
        let is_signed = SignedNote::parse(note).is_ok_and(|note| {
            signer.is_some_and(|signer| signer.origin == read.origin && note.is_signed_by(&signer.key))
        });
        if !is_signed {
            let message = format!("{name} is not signed by the key that the ledger names there");
            summary.add(Finding::new(What::Checkpoint, message).seq(at));
        }
        match self.roots.get(&read.size).copied().flatten() {
            Some(root) if root != read.root => {
                let message =
                    format!("{name} was signed over other entries than are here: one was changed, added or taken away");
                summary.add(Finding::new(What::Checkpoint, message).seq(at));
            }
            // Without a root an entry before it is missing, which was told.
            _ => {}
        }
    }

    /// Who signs from where on; each handing over against the checkpoint that both are to have signed.
    fn signers(&self, summary: &mut Summary) -> Vec<Signer> {
        let mut signers: Vec<Signer> = Vec::new();
        for (at, entry) in &self.said.keys {
            let Entry::Key { origin, key, replaces, former_is_lost, time } = entry else { continue };
            let mut wrong = |message: &str| summary.add(Finding::new(What::Checkpoint, message).seq(*at));
            let Ok(key) = PublicKey::parse(key) else {
                wrong("the entry names a key that is none");
                continue;
            };
            let former = signers.last();
            if former.map(|former| former.key.to_string()).as_ref() != replaces.as_ref() {
                wrong("the entry replaces another key than the one that signed so far");
            }
            if former.is_some_and(|former| former.origin != *origin) {
                wrong("the entry calls the ledger by another name");
            }
            let from = at.0.unsigned_abs();
            let handed_over = |former: &Signer| {
                self.stored.iter().any(|stored| {
                    let signed = SignedNote::parse(&stored.note);
                    stored.size == from && signed.is_ok_and(|note| note.is_signed_by(&former.key))
                })
            };
            if former.is_some_and(|former| !former_is_lost && !handed_over(former)) {
                wrong("another key takes over, and the former has not signed that");
            }
            if *former_is_lost {
                summary.notes.push(Note::KeyReplaced { seq: *at, time: *time });
            }
            signers.push(Signer { from, origin: origin.clone(), key });
        }
        signers
    }

    /// With each run and each change of who signs goes a checkpoint over all up to its entry.
    fn kept(&self, signers: &[Signer], summary: &mut Summary) {
        let is_signed = |at: Seq| {
            let is_late = |(_, entry): &(Seq, Entry)| matches!(entry, Entry::SignedLate { from, to, .. } if (*from..=*to).contains(&at));
            signers.first().is_some_and(|signer| signer.from <= at.0.unsigned_abs())
                && !self.said.late.iter().any(is_late)
        };
        let newest = self.stored.last().map_or(0, |stored| stored.size);
        // With another key the two are one step, and its entry comes second.
        let comes_second = |at: Seq| self.said.keys.iter().any(|(key, _)| key.0 == at.0 + 1);
        let late = self.said.late.iter().filter(|(at, _)| !comes_second(*at));
        let changes = self.said.keys.iter().chain(late).filter_map(|(at, entry)| match entry {
            Entry::Key { time, .. } | Entry::SignedLate { time, .. } => Some((*at, *time)),
            _ => None,
        });
        let kept = self.said.runs.iter().copied().chain(changes);
        for (at, time) in kept.filter(|(at, _)| is_signed(*at) && at.0.unsigned_abs() <= newest) {
            let found = self.stored.binary_search_by_key(&at.0.unsigned_abs(), |stored| stored.size);
            let message = match found.ok().and_then(|n| self.stored.get(n)) {
                None => "the checkpoint that was kept with this entry is missing",
                Some(stored) if stored.kept != Some(time) => {
                    "the checkpoint of this entry says another time at which it was kept"
                }
                Some(_) => continue,
            };
            summary.add(Finding::new(What::Checkpoint, message).seq(at));
        }
    }

    fn late(&self, signers: &[Signer], summary: &mut Summary) {
        for (at, entry) in &self.said.late {
            let Entry::SignedLate { from, to, reason, .. } = entry else { continue };
            // What nobody signs says nothing.
            if signers.iter().any(|signer| signer.from <= at.0.unsigned_abs() + 1) {
                summary.notes.push(Note::SignedLate { from: *from, to: *to, reason: reason.clone() });
            }
        }
    }
}

/// Whether a time stamp is about the checkpoint that it stands with.
fn stamp(name: &str, stored: &Stored, summary: &mut Summary) {
    let Some(answer) = &stored.timestamp else { return };
    if let Err(error) = timestamp::check(answer, &Sha256::of(stored.note.as_bytes()).0, None) {
        let message = format!("the time stamp of {name}: {error}");
        summary.add(Finding::new(What::Checkpoint, message).seq(seq(stored.size)));
    }
}

fn checkpoint(note: &str) -> std::result::Result<Checkpoint, crate::proof::note::Error> {
    Checkpoint::of_note(&SignedNote::parse(note)?)
}

fn seq(number: u64) -> Seq {
    Seq(i64::try_from(number).unwrap_or(i64::MAX))
}
