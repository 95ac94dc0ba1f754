//! What a request asks for: path, query options and preferences, read as strictly as the reference words them.

use crate::{
    model::time::Timestamp,
    simulate::emit::{Prefer, SELECTABLE},
};

/// Which call record, or what of it, a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    List,
    Record(String),
    Sessions(String),
    Participants(String),
}

impl Target {
    /// Reads a path below the host; `None` when Graph has nothing there.
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/v1.0/").or_else(|| path.strip_prefix("/beta/"))?;
        let parts: Vec<_> =
            path.strip_prefix("communications/callRecords")?.split('/').skip(1).map(percent_decode).collect();
        match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] if path == "communications/callRecords" => Some(Target::List),
            [id] if !id.is_empty() => Some(Target::Record(id.to_owned())),
            [id, "sessions"] => Some(Target::Sessions(id.to_owned())),
            [id, "participants_v2"] => Some(Target::Participants(id.to_owned())),
            _ => None,
        }
    }

    pub(super) fn record_id(&self) -> Option<&str> {
        match self {
            Target::List => None,
            Target::Record(id) | Target::Sessions(id) | Target::Participants(id) => Some(id),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expand {
    Nothing,
    Sessions { segments: bool },
    Participants,
}

/// The list's `$filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    /// First start that fits, and the first that does not any more.
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) participant: Option<String>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX), participant: None }
    }
}

/// The query options of a request without a skip token, or the skip token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Query {
    Fresh { filter: Filter, expand: Expand, select: Option<Vec<String>> },
    Continued { token: String },
}

impl Query {
    /// Reads a raw query; the error is the message of a 400.
    pub(super) fn of(target: &Target, raw: &str) -> Result<Self, String> {
        let options = options(raw);
        if let Some((_, token)) = options.iter().find(|(name, _)| name == "$skiptoken") {
            return continued(&options, token);
        }
        let (mut filter, mut expand, mut select) = (Filter::default(), Expand::Nothing, None);
        for (name, value) in &options {
            match name.as_str() {
                "$filter" if *target == Target::List => filter = read_filter(value)?,
                "$expand" => expand = read_expand(target, value)?,
                "$select" => select = Some(read_select(target, value)?),
                name if name.starts_with('$') => {
                    return Err(format!(
                        "The query specified in the URI is not valid. Query option '{name}' is not allowed. To allow it, set the 'AllowedQueryOptions' property on EnableQueryAttribute or QueryValidationSettings."
                    ));
                }
                _ => {}
            }
        }
        Ok(Query::Fresh { filter, expand, select })
    }
}

/// The options of a raw query in their order.
pub(super) fn options(raw: &str) -> Vec<(String, String)> {
    raw.split('&')
        .filter(|option| !option.is_empty())
        .map(|option| option.split_once('=').unwrap_or((option, "")))
        .map(|(name, value)| (percent_decode(name), percent_decode(value)))
        .collect()
}

/// What the `Prefer` headers ask for.
pub(super) fn read_prefer<'a>(headers: impl Iterator<Item = &'a str>) -> (Prefer, Option<usize>) {
    let (mut prefer, mut page) = (Prefer::default(), None);
    for preference in headers.flat_map(|header| header.split(',')).map(str::trim) {
        match preference.split_once('=') {
            Some(("odata.maxpagesize" | "maxpagesize", size)) => page = size.parse().ok().filter(|size| *size > 0),
            None if preference == "include-unknown-enum-members" => prefer.unknown_enum_members = true,
            _ => {}
        }
    }
    (prefer, page)
}

fn continued(options: &[(String, String)], token: &str) -> Result<Query, String> {
    if options.iter().any(|(name, _)| name == "$expand") {
        return Err(
            "Parsing OData Select and Expand failed: Term 'segments)' is not valid in a $select or $expand expression."
                .to_owned(),
        );
    }
    match options.iter().find(|(name, _)| name.starts_with('$') && name != "$skiptoken" && name != "$filter") {
        Some((name, _)) => Err(format!("Query option '{name}' cannot be combined with '$skiptoken'.")),
        None => Ok(Query::Continued { token: token.to_owned() }),
    }
}

fn read_filter(text: &str) -> Result<Filter, String> {
    let mut filter = Filter::default();
    for clause in text.split(" and ") {
        if let Some(id) =
            clause.strip_prefix("participants_v2/any(p:p/id eq '").and_then(|rest| rest.strip_suffix("')"))
        {
            filter.participant = Some(id.to_owned());
            continue;
        }
        let words: Vec<_> = clause.split(' ').collect();
        let [property, operator, value] = words[..] else {
            return Err(format!("Invalid filter clause: Syntax error at position {} in '{text}'.", clause.len()));
        };
        if property != "startDateTime" {
            return Err(format!("Invalid filter clause: filtering on '{property}' is not supported."));
        }
        let time = Timestamp::parse(value).filter(|_| value.ends_with('Z') || value.contains('+'));
        let time = time.ok_or_else(|| format!("Invalid filter clause: A binary operator with incompatible types was detected. Found operand '{value}'."))?;
        let after = Timestamp(time.0.saturating_add(1));
        match operator {
            "ge" => filter.from = filter.from.max(time),
            "gt" => filter.from = filter.from.max(after),
            "lt" => filter.to = filter.to.min(time),
            "le" => filter.to = filter.to.min(after),
            _ => {
                return Err(format!(
                    "Invalid filter clause: operator '{operator}' is not supported for 'startDateTime'."
                ));
            }
        }
    }
    Ok(filter)
}

fn read_expand(target: &Target, text: &str) -> Result<Expand, String> {
    match (target, text) {
        (Target::Record(_), "sessions") => Ok(Expand::Sessions { segments: false }),
        (Target::Record(_), "sessions($expand=segments)") | (Target::Sessions(_), "segments") => {
            Ok(Expand::Sessions { segments: true })
        }
        (Target::Record(_), "participants_v2") => Ok(Expand::Participants),
        (Target::Record(_), text) if text.contains("sessions") && text.contains("participants_v2") => {
            Err("Only one navigation property can be expanded in a request.".to_owned())
        }
        _ => Err(format!("Parsing OData Select and Expand failed: '{text}' cannot be expanded here.")),
    }
}

fn read_select(target: &Target, text: &str) -> Result<Vec<String>, String> {
    let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let of_record = matches!(target, Target::List | Target::Record(_));
    match names.iter().find(|name| of_record && !SELECTABLE.contains(&name.as_str())) {
        Some(name) => Err(format!(
            "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type 'microsoft.graph.callRecords.callRecord'."
        )),
        None => Ok(names),
    }
}

/// Decodes `%41`; a plus is a plus, as in a path.
pub(super) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let [first, rest @ ..] = left {
        let code =
            (*first == b'%').then(|| rest.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            left = &rest[2..];
        } else {
            bytes.push(*first);
            left = rest;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Age;

    fn list(raw: &str) -> Result<Query, String> {
        Query::of(&Target::List, raw)
    }

    #[test]
    fn paths_lead_to_records_and_their_pages() {
        let id = "a-1".to_owned();
        assert_eq!(Target::of("/v1.0/communications/callRecords"), Some(Target::List));
        assert_eq!(Target::of("/beta/communications/callRecords/a-1"), Some(Target::Record(id.clone())));
        assert_eq!(Target::of("/v1.0/communications/callRecords/a-1/sessions"), Some(Target::Sessions(id.clone())));
        assert_eq!(Target::of("/v1.0/communications/callRecords/a-1/participants_v2"), Some(Target::Participants(id)));
        for nothing in [
            "/",
            "/v1.0/users",
            "/v1.0/communications/callRecordsX",
            "/v1.0/communications/callRecords/a/b",
            "/v2.0/communications/callRecords",
        ] {
            assert_eq!(Target::of(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn lists_filter_by_start_and_participant_only() {
        let raw = "$filter=startDateTime%20ge%202026-11-01T00:00:00Z%20and%20startDateTime%20lt%202026-11-02T00:00:00Z";
        let Ok(Query::Fresh { filter, .. }) = list(raw) else { panic!() };
        assert_eq!(filter.to - filter.from, Age::days(1));
        let someone = list(
            "$filter=participants_v2/any(p:p/id%20eq%20'%2B49123')%20and%20startDateTime%20ge%202026-11-01T00:00:00Z",
        );
        assert!(
            matches!(someone, Ok(Query::Fresh { filter: Filter { participant: Some(id), .. }, .. }) if id == "+49123")
        );
        for wrong in [
            "$filter=endDateTime%20ge%202026-11-01T00:00:00Z",
            "$filter=startDateTime%20ge%20'2026-11-01T00:00:00Z'",
            "$filter=startDateTime+ge+2026-11-01T00:00:00Z",
            "$filter=startDateTime%20ne%202026-11-01T00:00:00Z",
            "$filter=version%20gt%201",
            "$top=5",
            "$orderby=startDateTime",
            "$skip=60",
            "$count=true",
            "$expand=sessions",
            "$select=nonsense",
        ] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_relationship_is_expanded_at_a_time() {
        let record = Target::Record("a".to_owned());
        let expand = |raw| match Query::of(&record, raw) {
            Ok(Query::Fresh { expand, .. }) => Ok(expand),
            other => Err(other),
        };
        assert_eq!(expand("$expand=sessions(%24expand%3Dsegments)"), Ok(Expand::Sessions { segments: true }));
        assert_eq!(expand("$expand=participants_v2"), Ok(Expand::Participants));
        assert!(expand("$expand=sessions,participants_v2").is_err());
        assert!(expand("$expand=sessions($expand=segments)&$top=3").is_err());
        assert!(
            Query::of(&Target::Sessions("a".to_owned()), "$expand=segments&$skiptoken=x")
                .unwrap_err()
                .contains("Term 'segments)'")
        );
    }
}
