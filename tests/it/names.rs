//! Names, addresses and numbers as people write them: one table, over texts and over `--participant`, through the real index and database.

use std::ops::ControlFlow;

use callvault::{
    archive::{Archive, Folder},
    model::{
        filter::{Filter, Selection},
        time::Age,
    },
    query,
    simulate::Planted,
};

use crate::support::{Bench, ago, empty};

/// Somebody as records name them.
struct Somebody {
    name: &'static str,
    upn: &'static str,
    /// In place of an object id.
    number: Option<&'static str>,
}

const fn user(name: &'static str, upn: &'static str) -> Somebody {
    Somebody { name, upn, number: None }
}

const fn phone(number: &'static str) -> Somebody {
    Somebody { name: "", upn: "", number: Some(number) }
}

/// Each took part in one call; calls are told apart by their place here.
const PEOPLE: [Somebody; 36] = [
    user("Jürgen Müller", "jmueller@contoso.com"),
    user("Thomas Mueller", "t.mueller@contoso.com"),
    user("Anna Muller", "amuller@fabrikam.com"),
    user("Łukasz Żółć", "lukasz.zolc@contoso.com"),
    user("Conan O'Brien", "conan@contoso.com"),
    user("Siobhán O’Connor", "siobhan@contoso.com"),
    user("王小明", "xiaoming.wang@contoso.com"),
    user("Wang Fang (王芳)", "fang@contoso.com"),
    user("田中 太郎", "tanaka@contoso.com"),
    user("김철수", "kim@contoso.com"),
    user("สมชาย ใจดี", "somchai@contoso.com"),
    user("Иван Алёхин", "ivan@contoso.com"),
    user("Андрій Їжакевич", "andrii@contoso.com"),
    user("Ελένη Παπαδοπούλου", "eleni@contoso.com"),
    user("ΟΔΥΣΣΕΥΣ Ανδρέου", "odysseus@contoso.com"),
    user("Ἀριστοτέλης Νίκου", "aristotelis@contoso.com"),
    user("Işıl Çağlar", "isil@contoso.com"),
    user("İNCİ ŞIMŞEK", "inci@contoso.com"),
    user("Sören Weiß", "soeren.weiss@contoso.com"),
    user("Ægir Þórðarson", "aegir@contoso.com"),
    user("Eﬃe Oﬀenbach", "effie@contoso.com"),
    user("Hans-Peter Groß-Gerau", "hp@contoso.com"),
    user("Schmidt, Karl-Heinz", "khs@contoso.com"),
    user("Nguyễn Thị Ánh", "anh@contoso.com"),
    user("José Mun\u{303}oz", "jose@contoso.com"),
    user("Đorđe Đurić", "djordje@contoso.com"),
    user("Åsa Ångström", "asa@contoso.com"),
    user("محمد أحمد", "mohamed@contoso.com"),
    user("דוד כהן", "david@contoso.com"),
    user("François d’Alençon-Pâris", "francois@contoso.com"),
    user("Ｊｏｈｎ Ｄｏｅ", "john.doe@contoso.com"),
    user("राम शर्मा", "ram@contoso.com"),
    user("Bob Guest", "bob_fabrikam.com#EXT#@contoso.onmicrosoft.com"),
    phone("+442079460123"),
    phone("+4989123456"),
    phone("+1425555***"),
];

/// What is typed, and whom it finds: by a text and by `--participant` alike.
const NAMES: [(&str, &[&str]); 67] = [
    ("Müller", &["Jürgen Müller", "Thomas Mueller", "Anna Muller"]),
    ("MÜLLER", &["Jürgen Müller", "Thomas Mueller", "Anna Muller"]),
    ("Mu\u{308}ller", &["Jürgen Müller", "Thomas Mueller", "Anna Muller"]),
    ("mueller", &["Jürgen Müller", "Thomas Mueller"]),
    ("muller", &["Jürgen Müller", "Anna Muller"]),
    ("Jürgen Müller", &["Jürgen Müller"]),
    ("juergen mueller", &["Jürgen Müller"]),
    ("jurgen muller", &["Jürgen Müller"]),
    ("Müller, Jürgen", &["Jürgen Müller"]),
    ("lukasz", &["Łukasz Żółć"]),
    ("Łukasz", &["Łukasz Żółć"]),
    ("ŁUKASZ ŻÓŁĆ", &["Łukasz Żółć"]),
    ("zolc", &["Łukasz Żółć"]),
    ("O'Brien", &["Conan O'Brien"]),
    ("O’Brien", &["Conan O'Brien"]),
    ("obrien", &["Conan O'Brien"]),
    ("brien", &["Conan O'Brien"]),
    ("o'connor", &["Siobhán O’Connor"]),
    ("siobhan oconnor", &["Siobhán O’Connor"]),
    ("王小明", &["王小明"]),
    ("小明", &["王小明"]),
    ("王", &["王小明", "Wang Fang (王芳)"]),
    ("王芳", &["Wang Fang (王芳)"]),
    ("田中", &["田中 太郎"]),
    ("太郎", &["田中 太郎"]),
    ("田中太郎", &["田中 太郎"]),
    ("철수", &["김철수"]),
    ("ใจ", &["สมชาย ใจดี"]),
    ("иван", &["Иван Алёхин"]),
    ("АЛЕХИН", &["Иван Алёхин"]),
    ("алёхин иван", &["Иван Алёхин"]),
    ("їжакевич", &["Андрій Їжакевич"]),
    ("ΕΛΕΝΗ", &["Ελένη Παπαδοπούλου"]),
    ("ελενη παπαδοπουλου", &["Ελένη Παπαδοπούλου"]),
    ("Οδυσσεύς", &["ΟΔΥΣΣΕΥΣ Ανδρέου"]),
    ("οδυσσευσ", &["ΟΔΥΣΣΕΥΣ Ανδρέου"]),
    ("αριστοτελης", &["Ἀριστοτέλης Νίκου"]),
    ("ισιλ", &[]),
    ("isil", &["Işıl Çağlar"]),
    ("IŞIL", &["Işıl Çağlar"]),
    ("işıl çağlar", &["Işıl Çağlar"]),
    ("inci simsek", &["İNCİ ŞIMŞEK"]),
    ("inci şımşek", &["İNCİ ŞIMŞEK"]),
    ("soren weiss", &["Sören Weiß"]),
    ("SÖREN WEISS", &["Sören Weiß"]),
    ("sören weiß", &["Sören Weiß"]),
    ("aegir", &["Ægir Þórðarson"]),
    ("Ægir Thordarson", &["Ægir Þórðarson"]),
    ("effie offenbach", &["Eﬃe Oﬀenbach"]),
    ("groß", &["Hans-Peter Groß-Gerau"]),
    ("gross-gerau", &["Hans-Peter Groß-Gerau"]),
    ("peter hans", &["Hans-Peter Groß-Gerau"]),
    ("Karl-Heinz Schmidt", &["Schmidt, Karl-Heinz"]),
    ("Schmidt, Karl-Heinz", &["Schmidt, Karl-Heinz"]),
    ("karl heinz", &["Schmidt, Karl-Heinz"]),
    ("nguyen thi anh", &["Nguyễn Thị Ánh"]),
    ("muñoz", &["José Mun\u{303}oz"]),
    ("dorde", &["Đorđe Đurić"]),
    ("ångström", &["Åsa Ångström"]),
    ("aangstroem", &["Åsa Ångström"]),
    ("محمد", &["محمد أحمد"]),
    ("مُحَمَّد", &["محمد أحمد"]),
    ("احمد", &["محمد أحمد"]),
    ("太", &["田中 太郎"]),
    ("כהן", &["דוד כהן"]),
    ("d'alencon", &["François d’Alençon-Pâris"]),
    ("john doe", &["Ｊｏｈｎ Ｄｏｅ"]),
];

/// More of the same, where what is typed is a whole address, an id or a number.
const ADDRESSES: [(&str, &[&str]); 17] = [
    ("jmueller@contoso.com", &["Jürgen Müller"]),
    ("JMueller@Contoso.COM", &["Jürgen Müller"]),
    ("+442079460123", &["+442079460123"]),
    ("+44 20 7946 0123", &["+442079460123"]),
    ("+44 (0)20 7946-0123", &["+442079460123"]),
    ("0044 20 7946 0123", &["+442079460123"]),
    ("020 7946 0123", &["+442079460123"]),
    ("(020) 7946.0123", &["+442079460123"]),
    ("02079460123", &["+442079460123"]),
    ("79460123", &["+442079460123"]),
    ("0123", &["+442079460123"]),
    ("tel:+44-20-7946-0123", &["+442079460123"]),
    ("+49 89 123456", &["+4989123456"]),
    ("089/123456", &["+4989123456"]),
    ("+1 425 555 123", &["+1425555***"]),
    ("+1 425 556 123", &[]),
    ("+4989123457", &[]),
];

/// What only a text finds: parts of addresses, beginnings, fields.
const TEXTS: [(&str, &[&str]); 22] = [
    ("mül*", &["Jürgen Müller", "Thomas Mueller", "Anna Muller"]),
    ("mull*", &["Jürgen Müller", "Anna Muller"]),
    ("upn:jmueller", &["Jürgen Müller"]),
    ("mail:lukasz.zolc", &["Łukasz Żółć"]),
    ("mail:zolc", &["Łukasz Żółć"]),
    ("mail:fabrikam.com", &["Anna Muller", "Bob Guest"]),
    ("mail:@fabrikam.com", &["Anna Muller", "Bob Guest"]),
    ("amuller@*", &["Anna Muller"]),
    ("bob@fabrikam.com", &["Bob Guest"]),
    ("participant:t.mueller@contoso.com", &["Thomas Mueller"]),
    ("participant:\"Müller Jürgen\"", &[]),
    ("participant:\"Jürgen Müller\"", &["Jürgen Müller"]),
    ("participant:(jürgen müller)", &["Jürgen Müller"]),
    ("organizer:\"Conan O'Brien\"", &["Conan O'Brien"]),
    ("organizer:conan@contoso.com", &["Conan O'Brien"]),
    ("name:小明", &["王小明"]),
    ("\"groß gerau\"", &["Hans-Peter Groß-Gerau"]),
    ("phone:0123", &["+442079460123"]),
    ("phone:+4420*", &["+442079460123"]),
    ("phone:\"020 7946 0123\"", &["+442079460123"]),
    ("phone:+1425555*", &["+1425555***"]),
    ("phone:+1425555123", &["+1425555***"]),
];

fn bench() -> Bench {
    let bench = Bench::new(empty());
    for (n, somebody) in PEOPLE.iter().enumerate() {
        let participant = match somebody.number {
            Some(number) => format!(r#"{{"id":"{number}","identity":{{"phone":{{"id":"{number}"}}}}}}"#),
            None => {
                let id = format!("0a1b2c3d-0000-4000-8000-{n:012}");
                let (name, upn) = (somebody.name, somebody.upn);
                format!(
                    r#"{{"id":"{id}","identity":{{"user":{{"id":"{id}","displayName":"{name}","userPrincipalName":"{upn}"}}}}}}"#
                )
            }
        };
        let mut call = Planted::meeting(format!("call-{n:02}"), ago(Age::hours(20)));
        call.organizer.clone_from(&participant);
        bench.simulator.plant(call.raw_participants([participant]).raw_sessions([] as [&str; 0]));
    }
    bench.sync();
    bench
}

/// Whose calls are found.
fn found(archive: &Archive, text: Option<&str>, participant: Option<&str>) -> Result<Vec<&'static str>, String> {
    let filter = Filter { participants: participant.map(str::to_owned).into_iter().collect(), ..Filter::default() };
    let selection = Selection { text: text.map(str::to_owned), filter, ..Selection::default() };
    let mut places = Vec::new();
    let outcome = query::Reader::new(archive).for_each(&selection, &mut |hit| {
        places.push(hit.id["call-".len()..].parse::<usize>().unwrap());
        ControlFlow::Continue(())
    });
    outcome.map_err(|error| error.to_string())?;
    places.sort_unstable();
    Ok(places.into_iter().map(|place| PEOPLE[place].number.unwrap_or(PEOPLE[place].name)).collect())
}

#[test]
fn people_are_found_however_their_names_addresses_and_numbers_are_written() {
    let bench = bench();
    let archive = Archive::open(&Folder::new(&bench.archive())).unwrap();
    let mut wrong = Vec::new();
    let mut check = |how: &str, typed: &str, got: Result<Vec<&'static str>, String>, expected: &[&str]| {
        if got.as_deref() != Ok(expected) {
            wrong.push(format!("{how} {typed}: {got:?}, not {expected:?}"));
        }
    };
    for (typed, expected) in NAMES {
        check("text", typed, found(&archive, Some(typed), None), expected);
        check("--participant", typed, found(&archive, None, Some(typed)), expected);
    }
    for (typed, expected) in ADDRESSES {
        check("phrase", typed, found(&archive, Some(&format!("\"{typed}\"")), None), expected);
        check("--participant", typed, found(&archive, None, Some(typed)), expected);
    }
    for (typed, expected) in TEXTS {
        check("text", typed, found(&archive, Some(typed), None), expected);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
