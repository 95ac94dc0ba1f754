//! What a request asks of a log: which function, which stretch of time, from which row on.

use crate::{
    model::time::{Age, Timestamp},
    simulate::logs::{LogKind, Window},
};

/// The widest range that Graph takes.
const WIDEST: Age = Age::days(90);

/// A call of a log's function, its arguments unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::simulate) struct Function {
    pub(in crate::simulate) log: LogKind,
    pub(super) is_beta: bool,
    arguments: String,
}

/// Why a range is not taken: the status and the message.
type Refusal = (u16, String);

impl Function {
    /// Reads the last segment of a path, percent-decoded; `None` when this version of Graph has no such function.
    pub(in crate::simulate) fn of(is_beta: bool, segment: &str) -> Option<Self> {
        let (name, rest) = segment.split_once('(')?;
        let arguments = rest.strip_suffix(')')?.to_owned();
        let log = LogKind::ALL.into_iter().find(|log| log.function() == name)?;
        (is_beta || !log.is_beta_only()).then_some(Self { log, is_beta, arguments })
    }

    pub(super) fn window(&self) -> Result<Window, Refusal> {
        let (mut from, mut to) = (None, None);
        for argument in self.arguments.split(',') {
            let bad = || (400, format!("The argument '{argument}' of '{}' is not valid.", self.log.function()));
            let (name, value) = argument.split_once('=').ok_or_else(bad)?;
            let place = match name {
                "fromDateTime" => &mut from,
                "toDateTime" => &mut to,
                _ => return Err(bad()),
            };
            if place.replace(read_time(value).ok_or_else(bad)?).is_some() {
                return Err(bad());
            }
        }
        let (Some(from), Some(to)) = (from, to) else {
            return Err((400, format!("'{}' wants fromDateTime and toDateTime.", self.log.function())));
        };
        if to < from {
            return Err((400, "The range is inverted: toDateTime lies before fromDateTime.".to_owned()));
        }
        if to - from > WIDEST {
            return Err((406, "The range is too wide: at most 90 days can be asked for.".to_owned()));
        }
        Ok(Window { log: self.log, from, to })
    }
}

/// A date, which is its midnight, or a time with `Z` or an offset and at most 7 fractional digits.
fn read_time(text: &str) -> Option<Timestamp> {
    let shape: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    if shape == "0000-00-00" {
        return Timestamp::parse(&format!("{text}T00:00:00Z"));
    }
    let rest = shape.strip_prefix("0000-00-00T00:00:00")?;
    let zone = rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches('0'));
    let digits = rest.len() - zone.len();
    let has_digits = digits == 0 || (2..=8).contains(&digits);
    (has_digits && matches!(zone, "Z" | "+00:00" | "-00:00")).then(|| Timestamp::parse(text)).flatten()
}

/// Reads the query of a log function: the number of rows to skip. `$filter` is ignored, whatever it says.
pub(super) fn read_skip(options: &[(String, String)]) -> Result<usize, String> {
    let mut skip = 0;
    for (name, value) in options {
        match name.as_str() {
            "$skip" => skip = value.parse().map_err(|_| format!("Invalid value '{value}' for $skip."))?,
            "$filter" => {}
            name if name.starts_with('$') => return Err(format!("Query option '{name}' is not allowed.")),
            _ => {}
        }
    }
    Ok(skip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(arguments: &str) -> Result<Window, u16> {
        let segment = format!("getPstnCalls({arguments})");
        Function::of(false, &segment).unwrap().window().map_err(|(status, _)| status)
    }

    #[test]
    fn ranges_are_dates_or_times_of_at_most_90_days() {
        let read = window("fromDateTime=2026-08-01,toDateTime=2026-08-02T03:04:05.1234567Z").unwrap();
        assert_eq!(read.from.to_string(), "2026-08-01T00:00:00Z");
        assert_eq!(read.to.to_string(), "2026-08-02T03:04:05.1234567Z");
        let offset = window("toDateTime=2026-08-02T02:00:00+02:00,fromDateTime=2026-08-02T00:00:00Z").unwrap();
        assert_eq!(offset.from, offset.to);
        assert!(window("fromDateTime=2026-08-01,toDateTime=2026-10-30").is_ok());
        assert_eq!(window("fromDateTime=2026-08-01,toDateTime=2026-10-30T00:00:00.0000001Z"), Err(406));
        for wrong in [
            "",
            "fromDateTime=2026-08-01",
            "fromDateTime=2026-08-02,toDateTime=2026-08-01",
            "fromDateTime='2026-08-01',toDateTime='2026-08-02'",
            "fromDateTime=2026-08-01, toDateTime=2026-08-02",
            "from=2026-08-01,to=2026-08-02",
            "fromDateTime=2026-08-01,toDateTime=2026-08-02,toDateTime=2026-08-03",
            "fromDateTime=2026-02-30,toDateTime=2026-03-02",
            "fromDateTime=2026-08-01 00:00:00+00:00,toDateTime=2026-08-02",
            "fromDateTime=2026-08-01T00:00:00,toDateTime=2026-08-02",
            "fromDateTime=2026-08-01T00:00:00.12345678Z,toDateTime=2026-08-02",
            "fromDateTime=2026-08-01T00:00:00.Z,toDateTime=2026-08-02",
        ] {
            assert_eq!(window(wrong), Err(400), "{wrong}");
        }
    }

    #[test]
    fn three_functions_are_in_beta_only() {
        for log in LogKind::ALL {
            let segment = format!("{}(fromDateTime=2026-08-01,toDateTime=2026-08-02)", log.function());
            assert!(Function::of(true, &segment).is_some());
            let is_old = matches!(log, LogKind::Pstn | LogKind::DirectRouting);
            assert_eq!(Function::of(false, &segment).is_some(), is_old, "{segment}");
        }
    }
}
