//! The filters that `query` and `export` share.

use crate::{
    cli::{exit::Result, usage},
    model::{
        filter::{Filter, Selection, Sort},
        kind::Kind,
        time::{Age, Timestamp},
    },
};

// Which records. (No doc comment: it would become the help of the command.)
#[derive(Debug, Default, clap::Args)]
pub(super) struct FilterArgs {
    /// Words to look for, in the query language: words, "phrases", field:value, ranges, AND, OR, NOT, ali*
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// Took part in any role: object id, UPN or mail, display name, or phone number; each one given must have taken part
    #[arg(long, value_name = "WHO")]
    pub participant: Vec<String>,
    /// Organized it, named like a participant
    #[arg(long, value_name = "WHO")]
    pub organizer: Vec<String>,
    /// Kind of record: call, pstn, direct-routing, blocked-user, dial-out, sms
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<Kind>,
    /// Type of call or row, such as groupCall, peerToPeer, user_out or ByotIn
    #[arg(long = "type", value_name = "TYPE")]
    pub call_type: Vec<String>,
    /// Modality, such as audio, video or screenSharing
    #[arg(long, value_name = "MODALITY")]
    pub modality: Vec<String>,
    /// Started at or after: 2026-11-01T00:00:00Z, 2026-11-01, or an age such as 36h, 7d, 2w
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Started before
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Lasted at least: 90s, 15m, 2h
    #[arg(long, value_name = "AGE")]
    pub min_duration: Option<Age>,
    /// Only calls with a failure in any session or segment, and direct routing calls that were not set up
    #[arg(long)]
    pub failed: bool,
}

impl FilterArgs {
    /// Resolves ages against `now` and checks what clap could not.
    pub(super) fn selection(&self, sort: Sort, limit: Option<usize>, now: Timestamp) -> Result<Selection> {
        for (flag, values) in [("--participant", &self.participant), ("--organizer", &self.organizer)] {
            if values.iter().any(|value| value.trim().is_empty()) {
                return Err(usage(format!("{flag} is empty: name somebody by id, UPN, display name or phone number")));
            }
        }
        let filter = Filter {
            participants: self.participant.clone(),
            organizers: self.organizer.clone(),
            kinds: self.kind.clone(),
            types: self.call_type.clone(),
            modalities: self.modality.clone(),
            from: time("--from", self.from.as_deref(), now)?,
            to: time("--to", self.to.as_deref(), now)?,
            min_duration: self.min_duration,
            failed: self.failed,
        };
        if filter.from.zip(filter.to).is_some_and(|(from, to)| to < from) {
            return Err(usage("--to is before --from"));
        }
        let text = self.text.clone().filter(|text| !text.trim().is_empty());
        Ok(Selection { text, filter, sort, limit, after: None })
    }
}

/// Reads a time given with `flag`.
pub(super) fn time(flag: &str, text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>> {
    text.map(|text| Timestamp::parse_argument(text, now)).transpose().map_err(|error| usage(format!("{flag}: {error}")))
}
