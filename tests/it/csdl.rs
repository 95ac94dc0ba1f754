//! Graph's own description of its types against our schema: every member has its column, or docs/schema.md says why not.
//!
//! The descriptions (CSDL, v1.0 and beta) are no part of this project; they are read where they lie beside it, in
//! `shared/data/graph`, and the test that needs them passes where they are absent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::support::files_under;

const CALL_RECORDS: &str = "microsoft.graph.callRecords";

/// The tables in which a type's members are looked for by their names. A type that is not here has no table.
const TABLES: [(&str, &[&str]); 18] = [
    ("callRecord", &["call", "hit", "record", "version"]),
    ("session", &["session"]),
    ("segment", &["segment"]),
    ("participantBase", &["identity", "party"]),
    ("identity", &["identity"]),
    ("endpoint", &["endpoint"]),
    ("participantEndpoint", &["endpoint"]),
    ("serviceEndpoint", &["endpoint"]),
    ("userAgent", &["user_agent"]),
    ("clientUserAgent", &["user_agent"]),
    ("serviceUserAgent", &["user_agent"]),
    ("userFeedback", &["feedback"]),
    ("callLogRow", &["pstn"]),
    ("pstnCallLogRow", &["pstn"]),
    ("directRoutingLogRow", &["direct_routing"]),
    ("smsLogRow", &["sms"]),
    ("pstnBlockedUsersLogRow", &["blocked_user"]),
    ("pstnOnlineMeetingDialoutReport", &["dial_out"]),
];

/// Types and enums of one CSDL by their full names.
#[derive(Debug, Default)]
struct Csdl {
    types: BTreeMap<String, Type>,
    enums: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct Type {
    base: Option<String>,
    /// Name, and the full name of its type or of its elements'.
    properties: Vec<(String, String)>,
}

impl Csdl {
    fn read(text: &str) -> Self {
        let mut csdl = Self::default();
        let (mut namespace, mut alias, mut inside) = (String::new(), None, String::new());
        for tag in text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
            let attribute = |name: &str| {
                let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
                rest.split_once('"').map(|(value, _)| value.to_owned())
            };
            let full = |name: String| {
                let name = name.trim_start_matches("Collection(").trim_end_matches(')').to_owned();
                match name.strip_prefix("graph.") {
                    Some(rest) => format!("microsoft.graph.{rest}"),
                    None => name,
                }
            };
            let named = || attribute("Name").unwrap_or_default();
            match tag.split_whitespace().next().unwrap_or_default() {
                "Schema" => {
                    (namespace, alias) = (attribute("Namespace").unwrap_or_default(), attribute("Alias").or(alias));
                    assert!(alias.as_deref().is_none_or(|alias| alias == "graph"), "another alias: {alias:?}");
                }
                "ComplexType" | "EntityType" => {
                    inside = format!("{namespace}.{}", named());
                    let read = Type { base: attribute("BaseType").map(full), properties: Vec::new() };
                    csdl.types.insert(inside.clone(), read);
                }
                "EnumType" => {
                    inside = format!("{namespace}.{}", named());
                    csdl.enums.insert(inside.clone(), BTreeSet::new());
                }
                "Property" | "NavigationProperty" => {
                    if let Some(of) = csdl.types.get_mut(&inside) {
                        of.properties.push((named(), attribute("Type").map(full).unwrap_or_default()));
                    }
                }
                "Member" => csdl.enums.get_mut(&inside).unwrap().extend([named()]),
                // What ends, or is none of ours.
                "/ComplexType" | "/EntityType" | "/EnumType" | "EntityContainer" => inside.clear(),
                _ => {}
            }
        }
        csdl
    }

    /// The call records' own types, and those of Graph's identities that they use, with what is derived from these.
    fn used(&self) -> BTreeSet<&str> {
        let mut used: BTreeSet<&str> =
            self.types.keys().map(String::as_str).filter(|name| namespace(name) == CALL_RECORDS).collect();
        loop {
            let is_used = |name: &str| used.contains(name);
            let of_members = used.iter().flat_map(|name| &self.types[*name].properties).map(|(_, of)| of.as_str());
            let derived = self.types.iter().filter(|(_, of)| of.base.as_deref().is_some_and(is_used));
            let bases = used.iter().filter_map(|name| self.types[*name].base.as_deref());
            let more: Vec<&str> = of_members
                .chain(bases)
                .chain(derived.map(|(name, _)| name.as_str()))
                // What all entities share is asked of each; most of them are none of ours.
                .filter(|name| {
                    *name != "microsoft.graph.entity" && self.types.contains_key(*name) && !used.contains(name)
                })
                .collect();
            if more.is_empty() {
                return used;
            }
            used.extend(more);
        }
    }

    /// A type and all that it is derived from.
    fn line(&self, name: &str) -> Vec<&str> {
        let first = self.types.get_key_value(name).map(|(name, _)| name.as_str());
        std::iter::successors(first, |name| {
            self.types[*name].base.as_deref().filter(|base| self.types.contains_key(*base))
        })
        .collect()
    }
}

fn namespace(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}

fn short(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, short)| short)
}

/// What docs/schema.md says of members, in the tables under its three headings.
#[derive(Debug, Default)]
struct Said {
    /// Type, member, `table.column`.
    elsewhere: Vec<[String; 3]>,
    /// Type and member.
    left: BTreeSet<(String, String)>,
    /// Enum and member.
    as_text: BTreeSet<(String, String)>,
}

impl Said {
    fn read(markdown: &str) -> Self {
        let rows = |heading: &str| -> Vec<Vec<String>> {
            let (_, rest) =
                markdown.split_once(&format!("\n### {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
            let table = rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
            let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            table.skip(2).map(cells).collect()
        };
        let quoted = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        let pairs = |heading: &str| {
            let pairs = rows(heading).into_iter().flat_map(|row| {
                assert!(row.iter().all(|cell| !cell.is_empty()), "{heading}: {row:?} is not said to its end");
                let (types, members) = (quoted(&row[0]), quoted(&row[1]));
                let of = move |name: &String| {
                    members.iter().map(|member| (name.clone(), member.clone())).collect::<Vec<_>>()
                };
                types.iter().flat_map(of).collect::<Vec<_>>()
            });
            pairs.collect()
        };
        let elsewhere = rows("Members under another name").into_iter().flat_map(|row| {
            let [types, members, columns] = [0, 1, 2].map(|n| quoted(&row[n]));
            let mut all = Vec::new();
            for (name, member) in types.iter().flat_map(|name| members.iter().map(move |member| (name, member))) {
                all.extend(columns.iter().map(|column| [name.clone(), member.clone(), column.clone()]));
            }
            all
        });
        Self {
            elsewhere: elsewhere.collect(),
            left: pairs("Members left to the raw JSON"),
            as_text: pairs("Enums kept as text"),
        }
    }

    fn says(&self, name: &str, member: &str) -> bool {
        self.left.contains(&(name.to_owned(), member.to_owned()))
            || self.elsewhere.iter().any(|[of, own, _]| of == name && own == member)
    }
}

/// Columns of each table of a schema's text.
type Columns = BTreeMap<String, BTreeSet<String>>;

fn read_columns(sql: &str, columns: &mut Columns) {
    let mut table = None;
    for line in sql.lines() {
        if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
            table = rest.split([' ', '(']).next().map(str::to_owned);
        } else if line.starts_with(')') {
            table = None;
        } else if let Some(table) = &table {
            let name = line.split_whitespace().next().unwrap_or_default();
            if name.starts_with(|first: char| first.is_ascii_lowercase()) {
                columns.entry(table.clone()).or_default().insert(name.to_owned());
            }
        }
    }
}

/// `azureADAppId` is `azure_ad_app_id`.
fn snake_case(member: &str) -> String {
    let letters: Vec<char> = member.chars().collect();
    let mut out = String::new();
    for (n, letter) in letters.iter().enumerate() {
        let before = n.checked_sub(1).map(|n| letters[n]);
        let begins_a_word = letters.get(n + 1).is_some_and(char::is_ascii_lowercase);
        if letter.is_ascii_uppercase() && before.is_some_and(|before| !before.is_ascii_uppercase() || begins_a_word) {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The names that a member's column may have: with its unit at the end, or `_id` where a table beside has the value.
fn column_names(member: &str) -> Vec<String> {
    let name = snake_case(member);
    let mut names = vec![name.clone(), format!("{name}_id"), format!("{name}_s"), name.replace("_in_mhz", "_mhz")];
    names.extend(name.strip_suffix("_date_time").map(|stem| format!("{stem}_ns")));
    names
}

/// Members without a place, and lines of the documentation about nothing.
fn faults(descriptions: &[Csdl], columns: &Columns, said: &Said) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let mut known = BTreeSet::new();
    for csdl in descriptions {
        for name in csdl.used() {
            let line = csdl.line(name);
            let has_column = |member: &str| {
                let tables = TABLES.iter().filter(|(of, _)| line.iter().any(|name| short(name) == *of));
                let names = column_names(member);
                tables.flat_map(|(_, tables)| *tables).any(|table| {
                    names.iter().any(|name| columns.get(*table).is_some_and(|columns| columns.contains(name)))
                })
            };
            for (member, _) in line.iter().flat_map(|name| &csdl.types[*name].properties) {
                known.extend(line.iter().map(|name| (short(name).to_owned(), member.clone())));
                if !has_column(member) && !line.iter().any(|name| said.says(short(name), member)) {
                    faults.insert(format!("{}.{member} has no column and is not listed", short(name)));
                }
            }
        }
        let of_members =
            csdl.used().into_iter().flat_map(|name| &csdl.types[name].properties).map(|(_, of)| of.as_str());
        let of_members: BTreeSet<&str> = of_members.collect();
        let is_ours = |name: &str| namespace(name) == CALL_RECORDS || of_members.contains(name);
        for (of, members) in csdl.enums.iter().filter(|(name, _)| is_ours(name)) {
            let listed = |member: &String| said.as_text.contains(&(short(of).to_owned(), member.clone()));
            for member in members.iter().filter(|member| !listed(member)) {
                faults.insert(format!("{} {member} is not listed", short(of)));
            }
        }
    }
    let listed =
        said.left.iter().cloned().chain(said.elsewhere.iter().map(|[of, member, _]| (of.clone(), member.clone())));
    faults.extend(
        listed
            .filter(|pair| !known.contains(pair))
            .map(|(of, member)| format!("{of}.{member} is listed and is not there")),
    );
    for [of, member, column] in &said.elsewhere {
        let is_there = column
            .split_once('.')
            .is_some_and(|(table, column)| columns.get(table).is_some_and(|columns| columns.contains(column)));
        if !is_there {
            faults.insert(format!("{of}.{member} is said to be in {column}, which is no column"));
        }
    }
    faults
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn our_columns() -> Columns {
    let mut columns = Columns::new();
    for file in files_under(&project().join("schema")) {
        if file.extension().is_some_and(|extension| extension == "sql") {
            read_columns(&fs::read_to_string(file).unwrap(), &mut columns);
        }
    }
    columns
}

fn our_words() -> Said {
    Said::read(&fs::read_to_string(project().join("docs/schema.md")).unwrap())
}

/// The folder beside the project, or beside a folder that it is in.
fn descriptions() -> Option<[PathBuf; 2]> {
    let folder =
        project().ancestors().skip(1).map(|folder| folder.join("shared/data/graph")).find(|folder| folder.is_dir())?;
    Some(["v1.0", "beta"].map(|version| folder.join(format!("callrecords.{version}.csdl.xml"))))
}

#[test]
fn every_member_that_graph_describes_has_its_column_or_is_listed() {
    let Some(files) = descriptions() else {
        println!("skipped: there is no shared/data/graph beside the project");
        return;
    };
    let read = files.map(|file| Csdl::read(&fs::read_to_string(file).unwrap()));
    for csdl in &read {
        assert!(csdl.used().len() > 30 && csdl.enums.len() > 15, "{} types were understood", csdl.used().len());
    }
    let faults = faults(&read, &our_columns(), &our_words());
    assert!(faults.is_empty(), "{}", faults.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_member_is_known_by_the_name_of_its_column() {
    for (member, name) in [
        ("callEndSubReason", "call_end_sub_reason"),
        ("azureADAppId", "azure_ad_app_id"),
        ("clientLocalIpV4Address", "client_local_ip_v4_address"),
        ("reflexiveIPAddress", "reflexive_ip_address"),
        ("organizer_v2", "organizer_v2"),
    ] {
        assert_eq!(snake_case(member), name);
    }
    assert!(column_names("startDateTime").contains(&"start_ns".to_owned()));
    assert!(column_names("duration").contains(&"duration_s".to_owned()));
    let columns = our_columns();
    assert!(
        columns["pstn"].contains("charge")
            && columns["hit"].contains("start_ns")
            && !columns["pstn"].contains("create")
    );
}

#[test]
fn the_check_finds_what_has_no_place() {
    let csdl = |property: &str, members: &str| {
        Csdl::read(&format!(
            r#"<Schema Namespace="microsoft.graph" Alias="graph"><ComplexType Name="identity"><Property Name="id" Type="Edm.String" />
            </ComplexType><ComplexType Name="subscription"><Property Name="clientState" Type="Edm.String" /></ComplexType></Schema>
            <Schema Namespace="microsoft.graph.callRecords"><EnumType Name="wifiBand">{members}</EnumType>
            <ComplexType Name="networkInfo"><Property Name="wifiBand" Type="microsoft.graph.callRecords.wifiBand" /></ComplexType>
            <ComplexType Name="callLogRow"><Property Name="userId" Type="Edm.String" /></ComplexType>
            <ComplexType Name="pstnCallLogRow" BaseType="microsoft.graph.callRecords.callLogRow">{property}
            <Property Name="startDateTime" Type="Edm.DateTimeOffset" /><NavigationProperty Name="caller" Type="Collection(graph.identity)" />
            </ComplexType></Schema><EntityContainer Name="x"><Singleton Name="y" Type="graph.z" /></EntityContainer>"#
        ))
    };
    let mut columns = Columns::new();
    read_columns(
        "CREATE TABLE pstn (\n    user_id TEXT, -- who\n    start_ns INTEGER,\n    PRIMARY KEY (x)\n) STRICT;",
        &mut columns,
    );
    read_columns("CREATE TABLE identity (\n    id ANY\n) STRICT;\n", &mut columns);
    let said = |elsewhere: &str| {
        Said::read(&format!(
            "\n### Members under another name\n\n| a | b | c |\n| --- | --- | --- |\n{elsewhere}\n
### Members left to the raw JSON\nWords.\n| a | b | c |\n| - | - | - |\n| `networkInfo` | `wifiBand` | why |\n
### Enums kept as text\n\n| a | b |\n| - | - |\n| `wifiBand` | `unknown`, `frequency24GHz` |\n"
        ))
    };
    let words = said("| `pstnCallLogRow` | `caller` | `identity.id` |");
    let known = r#"<Member Name="unknown" Value="0" /><Member Name="frequency24GHz" Value="1" />"#;
    let found = |csdl: Csdl, words: &Said| -> Vec<String> { faults(&[csdl], &columns, words).into_iter().collect() };

    assert_eq!(found(csdl("", known), &words), Vec::<String>::new());
    let made_up = r#"<Property Name="madeUp" Type="Edm.String" />"#;
    assert_eq!(found(csdl(made_up, known), &words), ["pstnCallLogRow.madeUp has no column and is not listed"]);
    let more = format!(r#"{known}<Member Name="frequency70GHz" Value="5" />"#);
    assert_eq!(found(csdl("", &more), &words), ["wifiBand frequency70GHz is not listed"]);
    assert_eq!(found(csdl("", known), &said("")), ["pstnCallLogRow.caller has no column and is not listed"]);
    let wrong = said("| `pstnCallLogRow` | `caller`, `gone` | `identity.nowhere` |");
    assert_eq!(
        found(csdl("", known), &wrong),
        [
            "pstnCallLogRow.caller is said to be in identity.nowhere, which is no column",
            "pstnCallLogRow.gone is listed and is not there",
            "pstnCallLogRow.gone is said to be in identity.nowhere, which is no column",
        ]
    );
}
