//! Load files for review platforms: a Concordance DAT and EDRM XML, which both name a file of its own for each version.

use std::io::{self, Write};

use crate::{
    model::{hit::Person, id::Sha256, time::Timestamp},
    package::{Item, report::escaped},
};

/// Between fields, around fields, and for a break of a line within one: what Concordance takes where nothing else is said.
const SEPARATOR: char = '\u{14}';
const QUOTE: char = 'þ';
const BREAK: char = '®';
/// Between the values of one field.
const VALUES: &str = "; ";

/// Titles of the fields, in their order.
pub const FIELDS: [&str; 22] = [
    "DOCID",
    "BEGDOC",
    "ENDDOC",
    "CUSTODIAN",
    "DOCTYPE",
    "RECORDID",
    "VERSION",
    "DATESENT",
    "TIMESENT",
    "DATEEND",
    "TIMEEND",
    "DURATION_S",
    "CALLTYPE",
    "MODALITIES",
    "AUTHOR",
    "PARTICIPANTS",
    "PARTICIPANTIDS",
    "FAILED",
    "LEDGERSEQ",
    "FILESIZE",
    "SHA256",
    "NATIVELINK",
];

/// `records.dat`: UTF-8 with a byte order mark, lines ended by CR LF.
pub struct Dat<W> {
    out: W,
}

impl<W: Write> Dat<W> {
    /// Begins with the titles.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all("\u{feff}".as_bytes())?;
        let mut dat = Self { out };
        dat.line(&FIELDS.map(str::to_owned))?;
        Ok(dat)
    }

    pub fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        let hit = item.hit;
        let people = |of: fn(&Person) -> Option<&str>| {
            values(hit.participants.iter().map(|person| of(person).unwrap_or_default()))
        };
        let organizer = hit.organizer.as_ref().and_then(|person| person.known_as()).unwrap_or_default().to_owned();
        let (date_sent, time_sent) = date_and_time(hit.start);
        let (date_end, time_end) = date_and_time(hit.end);
        self.line(&[
            item.control(),
            item.control(),
            item.control(),
            organizer.clone(),
            item.key.kind.name().to_owned(),
            item.key.id.clone(),
            item.version.to_string(),
            date_sent,
            time_sent,
            date_end,
            time_end,
            hit.duration_s.map(|seconds| seconds.to_string()).unwrap_or_default(),
            hit.call_type.clone().unwrap_or_default(),
            hit.modalities.as_ref().map(|all| all.join(VALUES)).unwrap_or_default(),
            organizer,
            people(Person::known_as),
            people(|person| person.id.as_deref()),
            (if hit.failed { "Y" } else { "N" }).to_owned(),
            item.seq.to_string(),
            (item.json.len() + 1).to_string(),
            native_sha256(item).to_string(),
            format!("natives\\{}.json", item.control()),
        ])
    }

    fn line(&mut self, fields: &[String; FIELDS.len()]) -> io::Result<()> {
        let mut line = String::new();
        for (n, field) in fields.iter().enumerate() {
            if n > 0 {
                line.push(SEPARATOR);
            }
            line.push(QUOTE);
            line.push_str(&spelled(field));
            line.push(QUOTE);
        }
        line.push_str("\r\n");
        self.out.write_all(line.as_bytes())
    }

    /// Gives back what it wrote to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// What cannot be written within a field is written otherwise: the quote as those spell it who lack the letter.
fn spelled(field: &str) -> String {
    let field = field.replace("\r\n", "\n").replace(QUOTE, "th").replace(BREAK, "(R)");
    let letter = |letter: char| match letter {
        '\n' | '\r' => BREAK,
        letter if letter.is_control() => ' ',
        letter => letter,
    };
    field.chars().map(letter).collect()
}

/// The values of one field. What stands between them is in none.
fn values<'a>(values: impl Iterator<Item = &'a str>) -> String {
    values.map(|value| value.replace(';', ",")).collect::<Vec<_>>().join(VALUES)
}

/// Of a version's own file: the document and a line feed.
fn native_sha256(item: &Item<'_>) -> Sha256 {
    Sha256::of(format!("{}\n", item.json).as_bytes())
}

/// `20261101` and `10:00:00`, in UTC.
fn date_and_time(time: Option<Timestamp>) -> (String, String) {
    let text = time.map(Timestamp::to_seconds_text).unwrap_or_default();
    let (date, time) = text.split_once('T').unwrap_or_default();
    (date.replace('-', ""), time.trim_end_matches('Z').to_owned())
}

/// `edrm.xml`: EDRM XML 1.2 with the tags of its field list, and ours where it has none.
pub struct Edrm<W> {
    out: W,
}

impl<W: Write> Edrm<W> {
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(
            b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Root MajorVersion=\"1\" MinorVersion=\"2\" DataInterchangeType=\"Update\" \
              Description=\"Call records of Microsoft Teams\">\n<Batch>\n<Documents>\n",
        )?;
        Ok(Self { out })
    }

    pub fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        let hit = item.hit;
        let control = item.control();
        let people = values(hit.participants.iter().filter_map(Person::known_as));
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_seconds_text);
        let tags = [
            ("#DateSent", "DateTime", time(hit.start)),
            ("#From", "Text", hit.organizer.as_ref().and_then(|person| person.known_as()).map(str::to_owned)),
            ("#To", "Text", Some(people).filter(|people| !people.is_empty())),
            ("#Subject", "Text", Some(item.key.to_string())),
            ("RecordKind", "Text", Some(item.key.kind.name().to_owned())),
            ("RecordId", "Text", Some(item.key.id.clone())),
            ("RecordVersion", "LongInteger", Some(item.version.to_string())),
            ("DateEnd", "DateTime", time(hit.end)),
            ("DurationSeconds", "Decimal", hit.duration_s.map(|seconds| seconds.to_string())),
            ("CallType", "Text", hit.call_type.clone()),
            ("Failed", "Boolean", Some(hit.failed.to_string())),
            ("LedgerSeq", "LongInteger", Some(item.seq.to_string())),
            ("Sha256", "Text", Some(native_sha256(item).to_string())),
        ];
        let mut text =
            format!("<Document DocID=\"{control}\" DocType=\"File\" MimeType=\"application/json\">\n<Tags>\n");
        for (name, holds, value) in tags {
            let Some(value) = value else { continue };
            text += &format!("<Tag TagName=\"{name}\" TagDataType=\"{holds}\" TagValue=\"{}\"/>\n", escaped(&value));
        }
        text += &format!(
            "</Tags>\n<Files>\n<File FileType=\"Native\"><ExternalFile FilePath=\"natives\" FileName=\"{control}.json\" FileSize=\"{}\" \
             Hash=\"{}\" HashType=\"SHA256\"/></File>\n</Files>\n</Document>\n",
            item.json.len() + 1,
            native_sha256(item)
        );
        self.out.write_all(text.as_bytes())
    }

    /// Gives back what it wrote to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(b"</Documents>\n</Batch>\n</Root>\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        derive,
        hit::Hit,
        id::{RecordKey, Seq, Version},
    };

    #[test]
    fn no_text_of_a_record_breaks_a_line_or_a_field() {
        let json = r#"{"id":"x","startDateTime":"2026-11-01T10:00:00.5Z","organizer_v2":{"id":"o","identity":{"user":{"id":"o","displayName":"Þór þ\r\n\u0014<&\""}}},"participants_v2":[{"id":"p","identity":{"user":{"id":"p","displayName":"Nowak; Zofia, Contoso®\uffff"}}}],"sessions":[]}"#;
        let key = RecordKey::call("x");
        let derived = derive::shown(&key, None, json);
        let hit = Hit::of(&key, Version(3), Seq(7), &derived);
        let item =
            Item { n: 1, key: &key, version: Version(3), seq: Seq(7), asked: None, json, derived: &derived, hit: &hit };
        let mut dat = Dat::new(Vec::new()).unwrap();
        dat.item(&item).unwrap();
        let text = String::from_utf8(dat.finish().unwrap()).unwrap();
        let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap().split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 2);
        let fields: Vec<&str> = lines[1].split('\u{14}').collect();
        assert_eq!(fields.len(), FIELDS.len());
        assert_eq!(fields[..4], ["þCV00000001þ", "þCV00000001þ", "þCV00000001þ", "þÞór th® <&\"þ"]);
        assert_eq!(fields[7..9], ["þ20261101þ", "þ10:00:00þ"]);
        assert_eq!(
            fields[15], "þÞór th® <&\"; Nowak, Zofia, Contoso(R)\u{ffff}þ",
            "two people, and one break of a line"
        );
        assert_eq!(fields[21], "þnatives\\CV00000001.jsonþ");
        let mut edrm = Edrm::new(Vec::new()).unwrap();
        edrm.item(&item).unwrap();
        let text = String::from_utf8(edrm.finish().unwrap()).unwrap();
        assert!(text.contains("; Nowak, Zofia, Contoso® \"/>"), "a letter that XML does not have: {text}");
        assert!(text.contains("TagName=\"#From\" TagDataType=\"Text\" TagValue=\"Þór þ   &lt;&amp;&quot;\""), "{text}");
    }
}
