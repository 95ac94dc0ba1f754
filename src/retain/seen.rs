//! What holds cover that the rows of newest versions do not tell: texts, and versions before the newest.

use std::collections::{HashMap, HashSet};

use crate::{
    archive::{
        Archive,
        policy::{Hold, Scope},
        purge::Seen,
    },
    model::id::RecordId,
    query,
    retain::Result,
};

/// Looks at `records` for `holds`. Texts are read from the records themselves: no index that is behind lets one go. Somebody who is in an
/// older version only holds a record as well.
pub fn look(archive: &Archive, holds: &[Hold], records: &[RecordId]) -> Result<Seen> {
    let texts = texts(archive, holds, records)?;
    let mut older: HashMap<i64, HashSet<RecordId>> = holds.iter().map(|hold| (hold.id, HashSet::new())).collect();
    // Where nothing is held, nothing has to be read.
    let rounds = if holds.is_empty() { Vec::new() } else { archive.older_versions(Some(records))? };
    for round in rounds {
        let past = archive.with_newest(&round)?;
        let records: Vec<RecordId> = round.iter().map(|(record_id, _)| *record_id).collect();
        let texts = self::texts(&past, holds, &records)?;
        for hold in holds {
            older.entry(hold.id).or_default().extend(past.in_scope(&hold.scope, texts.get(&hold.id))?);
        }
    }
    Ok(Seen { texts, older })
}

fn texts(archive: &Archive, holds: &[Hold], records: &[RecordId]) -> Result<HashMap<i64, HashSet<RecordId>>> {
    let mut matches = HashMap::new();
    for hold in holds {
        if let Some(text) = &hold.scope.text {
            matches.insert(hold.id, query::matching(archive, text, records)?);
        }
    }
    Ok(matches)
}

/// All records that a scope covers by a version before the newest.
pub fn by_older(archive: &Archive, scope: &Scope) -> Result<HashSet<RecordId>> {
    let mut covered = HashSet::new();
    for round in archive.older_versions(None)? {
        let past = archive.with_newest(&round)?;
        let records: Vec<RecordId> = round.iter().map(|(record_id, _)| *record_id).collect();
        let matches = scope.text.as_ref().map(|text| query::matching(&past, text, &records)).transpose()?;
        covered.extend(past.in_scope(scope, matches.as_ref())?);
    }
    Ok(covered)
}
