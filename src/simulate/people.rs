//! The people of the simulated organisation, and those outside it whom they talk to.
//!
//! A person is a function of the seed and a number. The name tables are our own and small: they are there so that folding,
//! scripts without spaces and right-to-left names are met every day, not to be a census.

use crate::simulate::{
    dice::Dice,
    equipment::{CAMERAS, CPUS, Camera, Cpu, HEADSETS, Headset, PLATFORMS, WIFI_CARDS, WifiCard},
    json::Json,
};

/// The organisation's tenant.
pub const TENANT_ID: &str = "dc368399-474c-4d40-900c-6265431fd81f";
/// The organisation's domain; works in place of the tenant's id.
pub const DOMAIN: &str = "contoso.com";

/// A name and how it is written in a mail address.
type Name = (&'static str, &'static str);

struct Culture {
    weight: u64,
    country: &'static str,
    prefix: &'static str,
    /// Digits after the prefix.
    digits: u32,
    cities: &'static [&'static str],
    order: Order,
    given: &'static [Name],
    family: &'static [Name],
}

#[derive(Clone, Copy)]
enum Order {
    GivenFirst,
    FamilyFirst,
    /// Family first, nothing between.
    Joined,
}

#[rustfmt::skip]
const CULTURES: [Culture; 14] = [
    Culture { weight: 24, country: "GB", prefix: "+4420", digits: 8, cities: &["LON", "DUB"], order: Order::GivenFirst,
        given: &[("Abbie", "abbie"), ("Owen", "owen"), ("Zoë", "zoe"), ("Callum", "callum"), ("Priya", "priya"), ("Niamh", "niamh"), ("George", "george"), ("Amara", "amara"), ("Rhys", "rhys"), ("Chloe", "chloe"), ("Siân", "sian"), ("Imran", "imran")],
        family: &[("Wilkins", "wilkins"), ("Franklin", "franklin"), ("O'Connor", "oconnor"), ("Patel", "patel"), ("Hughes", "hughes"), ("Brontë", "bronte"), ("Okafor", "okafor"), ("Smith-Jones", "smith-jones"), ("Taylor", "taylor"), ("MacLeod", "macleod"), ("Khan", "khan"), ("Wright", "wright")] },
    Culture { weight: 15, country: "DE", prefix: "+4989", digits: 8, cities: &["MUC", "FRA"], order: Order::GivenFirst,
        given: &[("Jürgen", "juergen"), ("Käthe", "kaethe"), ("Sören", "soeren"), ("Heike", "heike"), ("Björn", "bjoern"), ("Anja", "anja"), ("Lukas", "lukas"), ("Götz", "goetz"), ("Ute", "ute"), ("Mathias", "mathias")],
        family: &[("Müller", "mueller"), ("Groß", "gross"), ("Schröder", "schroeder"), ("Weiß", "weiss"), ("Bäcker", "baecker"), ("Vogel", "vogel"), ("von der Heyde", "vonderheyde"), ("Köhler", "koehler"), ("Jäger", "jaeger"), ("Schmidt", "schmidt")] },
    Culture { weight: 12, country: "PL", prefix: "+4822", digits: 7, cities: &["WAW", "KRK"], order: Order::GivenFirst,
        given: &[("Łukasz", "lukasz"), ("Małgorzata", "malgorzata"), ("Paweł", "pawel"), ("Zofia", "zofia"), ("Grzegorz", "grzegorz"), ("Agnieszka", "agnieszka"), ("Michał", "michal"), ("Świętosława", "swietoslawa"), ("Jędrzej", "jedrzej"), ("Kasia", "kasia")],
        family: &[("Wójcik", "wojcik"), ("Kowalczyk", "kowalczyk"), ("Żółtowska", "zoltowska"), ("Ślusarczyk", "slusarczyk"), ("Brzęczyszczykiewicz", "brzeczyszczykiewicz"), ("Nowak", "nowak"), ("Dąbrowski", "dabrowski"), ("Piątek", "piatek"), ("Grabiński", "grabinski")] },
    Culture { weight: 10, country: "ES", prefix: "+3491", digits: 7, cities: &["MAD", "BCN"], order: Order::GivenFirst,
        given: &[("José", "jose"), ("María", "maria"), ("Íñigo", "inigo"), ("Begoña", "begona"), ("Andrés", "andres"), ("Lucía", "lucia"), ("Xènia", "xenia"), ("Ángel", "angel"), ("Inés", "ines")],
        family: &[("Muñoz García", "munoz"), ("Núñez", "nunez"), ("Ibáñez", "ibanez"), ("de la Peña", "delapena"), ("Güell", "guell"), ("Fernández", "fernandez"), ("Echeverría", "echeverria"), ("Ruiz", "ruiz")] },
    Culture { weight: 8, country: "FR", prefix: "+331", digits: 8, cities: &["PAR", "LYS"], order: Order::GivenFirst,
        given: &[("Hélène", "helene"), ("François", "francois"), ("Anaïs", "anais"), ("Noël", "noel"), ("Jérôme", "jerome"), ("Maëlle", "maelle"), ("Cédric", "cedric"), ("Aurore", "aurore")],
        family: &[("Lefèvre", "lefevre"), ("Bénézet", "benezet"), ("d'Artois", "dartois"), ("Gaël", "gael"), ("Château", "chateau"), ("Rousseau", "rousseau"), ("L'Huillier", "lhuillier")] },
    Culture { weight: 5, country: "SE", prefix: "+468", digits: 7, cities: &["STO", "OSL"], order: Order::GivenFirst,
        given: &[("Åsa", "asa"), ("Øyvind", "oyvind"), ("Märta", "marta"), ("Håkon", "hakon"), ("Linnéa", "linnea"), ("Þóra", "thora")],
        family: &[("Sjöström", "sjostrom"), ("Ærø", "aeroe"), ("Lindqvist", "lindqvist"), ("Bjørnstad", "bjornstad"), ("Ångström", "angstrom"), ("Hansen", "hansen")] },
    Culture { weight: 3, country: "CZ", prefix: "+4202", digits: 8, cities: &["PRG"], order: Order::GivenFirst,
        given: &[("Jiří", "jiri"), ("Žaneta", "zaneta"), ("Ondřej", "ondrej"), ("Eliška", "eliska"), ("Çağla", "cagla"), ("İpek", "ipek")],
        family: &[("Dvořák", "dvorak"), ("Šťastná", "stastna"), ("Němcová", "nemcova"), ("Kučera", "kucera"), ("Yıldız", "yildiz")] },
    Culture { weight: 6, country: "CN", prefix: "+8610", digits: 8, cities: &["PEK", "SHA"], order: Order::Joined,
        given: &[("伟", "wei"), ("秀英", "xiuying"), ("小明", "xiaoming"), ("丽华", "lihua"), ("志强", "zhiqiang"), ("晓东", "xiaodong"), ("雨桐", "yutong"), ("海燕", "haiyan")],
        family: &[("王", "wang"), ("李", "li"), ("张", "zhang"), ("欧阳", "ouyang"), ("陈", "chen"), ("赵", "zhao"), ("黄", "huang")] },
    Culture { weight: 5, country: "JP", prefix: "+813", digits: 8, cities: &["NRT"], order: Order::FamilyFirst,
        given: &[("太郎", "taro"), ("花子", "hanako"), ("さくら", "sakura"), ("ケンジ", "kenji"), ("美咲", "misaki"), ("大智", "daichi"), ("翔太", "shota")],
        family: &[("山田", "yamada"), ("佐藤", "sato"), ("丸山", "maruyama"), ("渡邊", "watanabe"), ("髙橋", "takahashi"), ("鈴木", "suzuki")] },
    Culture { weight: 3, country: "KR", prefix: "+822", digits: 8, cities: &["ICN"], order: Order::Joined,
        given: &[("민준", "minjun"), ("서연", "seoyeon"), ("지훈", "jihoon"), ("하은", "haeun"), ("도윤", "doyun")],
        family: &[("김", "kim"), ("이", "lee"), ("박", "park"), ("최", "choi"), ("남궁", "namgung")] },
    Culture { weight: 2, country: "TH", prefix: "+662", digits: 7, cities: &["BKK"], order: Order::GivenFirst,
        given: &[("สมชาย", "somchai"), ("กนกวรรณ", "kanokwan"), ("ประเสริฐ", "prasert"), ("น้ำฝน", "namfon")],
        family: &[("ใจดี", "jaidee"), ("ศรีสุข", "srisuk"), ("วงศ์สวัสดิ์", "wongsawat")] },
    Culture { weight: 4, country: "UA", prefix: "+38044", digits: 7, cities: &["KBP"], order: Order::GivenFirst,
        given: &[("Олександр", "oleksandr"), ("Ірина", "iryna"), ("Дмитро", "dmytro"), ("Наталія", "nataliia"), ("Фёдор", "fyodor"), ("Софія", "sofiia")],
        family: &[("Шевченко", "shevchenko"), ("Коваленко", "kovalenko"), ("Їжакевич", "yizhakevych"), ("Соловьёв", "solovyov"), ("Бондар", "bondar")] },
    Culture { weight: 2, country: "GR", prefix: "+30210", digits: 7, cities: &["ATH"], order: Order::GivenFirst,
        given: &[("Γιώργος", "giorgos"), ("Ελένη", "eleni"), ("Ανδρέας", "andreas"), ("Μυρτώ", "myrto")],
        family: &[("Παπαδόπουλος", "papadopoulos"), ("Ιωάννου", "ioannou"), ("Οικονόμου", "oikonomou")] },
    Culture { weight: 2, country: "AE", prefix: "+9714", digits: 7, cities: &["DXB"], order: Order::GivenFirst,
        given: &[("محمد", "mohammed"), ("فاطمة", "fatima"), ("أحمد", "ahmed"), ("ليلى", "layla")],
        family: &[("الهاشمي", "alhashimi"), ("عبد الله", "abdullah"), ("حدّاد", "haddad")] },
];

/// A member of the organisation, as a directory would show one.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub name: String,
    pub upn: String,
    pub phone: String,
    pub country: &'static str,
    /// The person's identity as JSON, written again in every endpoint and participant.
    pub(super) identity: String,
    pub(super) administrative_unit: String,
    pub(super) equipment: Equipment,
}

/// What somebody calls with, and from where.
#[derive(Clone, Debug)]
pub(super) struct Equipment {
    pub(super) platform: &'static str,
    pub(super) machine: String,
    pub(super) cpu: &'static Cpu,
    pub(super) headset: &'static Headset,
    pub(super) camera: &'static Camera,
    pub(super) wifi_card: &'static WifiCard,
    pub(super) office_ip: String,
    pub(super) office_subnet: String,
    pub(super) home_ip: String,
    pub(super) home_subnet: String,
    pub(super) home_public_ip: String,
    pub(super) home_access_point: String,
    pub(super) office_public_ip: String,
    /// How often this person works at home.
    pub(super) home_share: f64,
}

/// The organisation's `count` people; addresses do not repeat.
pub(super) fn people(seed: u64, count: u32) -> Vec<Person> {
    let mut taken = std::collections::HashMap::<String, u32>::new();
    (0..u64::from(count))
        .map(|place| {
            let mut dice = Dice::of(seed, &[0x9e09, place]);
            let culture = culture(&mut dice);
            let (name, mailbox) = name(culture, &mut dice);
            let namesakes = taken.entry(mailbox.clone()).or_default();
            *namesakes += 1;
            let number = if *namesakes > 1 { namesakes.to_string() } else { String::new() };
            person(place, culture, name, format!("{mailbox}{number}@{DOMAIN}"), &mut dice)
        })
        .collect()
}

/// A phone number outside the organisation.
pub(super) fn outside_phone(seed: u64, number: u64) -> String {
    let mut dice = Dice::of(seed, &[0x0f0e, number]);
    phone(culture(&mut dice), &mut dice)
}

/// The country of [`outside_phone`], as its ISO code.
pub(super) fn outside_country(seed: u64, number: u64) -> &'static str {
    culture(&mut Dice::of(seed, &[0x0f0e, number])).country
}

/// A name that a guest typed when joining.
pub(super) fn guest_name(seed: u64, number: u64) -> String {
    let mut dice = Dice::of(seed, &[0x90e5, number]);
    name(culture(&mut dice), &mut dice).0
}

/// The gear of somebody outside; only an organisation's own people are kept in memory.
pub(super) fn outside_equipment(seed: u64, number: u64) -> Equipment {
    let mut dice = Dice::of(seed, &[0x0e90, number]);
    let culture = culture(&mut dice);
    Equipment {
        platform: if dice.chance(0.5) { "web" } else { "windows" },
        home_share: 1.0,
        ..equipment(number, culture, &mut dice)
    }
}

fn culture(dice: &mut Dice) -> &'static Culture {
    static CULTURES_OF_ALL: &[Culture] = &CULTURES;
    let mut left = dice.below(CULTURES_OF_ALL.iter().map(|culture| culture.weight).sum());
    for culture in CULTURES_OF_ALL {
        if left < culture.weight {
            return culture;
        }
        left -= culture.weight;
    }
    &CULTURES_OF_ALL[0]
}

fn name(culture: &Culture, dice: &mut Dice) -> (String, String) {
    let (given, family) = (dice.pick(culture.given), dice.pick(culture.family));
    let shown = match culture.order {
        Order::GivenFirst => format!("{} {}", given.0, family.0),
        Order::FamilyFirst => format!("{} {}", family.0, given.0),
        Order::Joined => format!("{}{}", family.0, given.0),
    };
    (shown, format!("{}.{}", given.1, family.1))
}

fn phone(culture: &Culture, dice: &mut Dice) -> String {
    let low = 10_i64.pow(culture.digits - 1);
    format!("{}{}", culture.prefix, dice.between(low * 2, low * 10))
}

fn person(place: u64, culture: &'static Culture, name: String, upn: String, dice: &mut Dice) -> Person {
    let id = dice.guid();
    Person {
        identity: identity(&id, &name, &upn),
        id,
        name,
        upn,
        phone: phone(culture, dice),
        country: culture.country,
        administrative_unit: Dice::of(0xad, &[dice.below(6)]).guid(),
        equipment: equipment(place, culture, dice),
    }
}

/// The identity of one of ours as JSON.
pub(super) fn identity(id: &str, name: &str, upn: &str) -> String {
    Json::new_with(|json| {
        json.raw("{\"id\":\"").raw(id).raw("\",\"displayName\":").text(name);
        json.raw(",\"tenantId\":\"").raw(TENANT_ID).raw("\",\"userPrincipalName\":").text(upn).raw("}");
    })
}

fn equipment(place: u64, culture: &'static Culture, dice: &mut Dice) -> Equipment {
    let subnet = format!("10.{}.{}", 20 + dice.below(6), dice.below(16) * 16);
    let home = format!("192.168.{}", dice.pick(&[0, 1, 1, 2, 10, 68, 86, 178, 178, 188]));
    let isp = dice.pick(&[62, 77, 79, 81, 84, 86, 91, 93, 176]);
    let kind = dice.pick(&["LT", "NB", "DT"]);
    Equipment {
        platform: platform(dice),
        machine: format!("{}-{kind}{place:05}", dice.pick(culture.cities)),
        cpu: dice.pick(CPUS),
        headset: dice.pick(HEADSETS),
        camera: dice.pick(CAMERAS),
        wifi_card: dice.pick(WIFI_CARDS),
        office_ip: format!("{subnet}.{}", dice.between(2, 254)),
        office_subnet: format!("{subnet}.0"),
        home_ip: format!("{home}.{}", dice.between(2, 254)),
        home_subnet: format!("{home}.0"),
        home_public_ip: format!("{isp}.{}.{}.{}", dice.below(256), dice.below(256), dice.between(1, 255)),
        home_access_point: access_point(dice),
        office_public_ip: format!("203.0.113.{}", 1 + dice.below(8)),
        home_share: dice.unit(),
    }
}

fn access_point(dice: &mut Dice) -> String {
    let octets: Vec<_> = (0..6).map(|_| format!("{:02x}", dice.below(256))).collect();
    octets.join(":")
}

fn platform(dice: &mut Dice) -> &'static str {
    let mut left = dice.below(PLATFORMS.iter().map(|(weight, _)| weight).sum());
    for (weight, name) in PLATFORMS {
        if left < *weight {
            return name;
        }
        left -= weight;
    }
    "windows"
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn people_are_many_sorts_and_addresses_unique() {
        let people = people(1, 400);
        let addresses: HashSet<_> = people.iter().map(|person| &person.upn).collect();
        assert_eq!(addresses.len(), 400);
        assert!(addresses.iter().all(|address| address.is_ascii()));
        for script in ["ł", "ü", "王", "山", "김", "ส", "р", "ο", "م"] {
            assert!(people.iter().any(|person| person.name.contains(script)), "nobody is written with {script}");
        }
        assert!(people.iter().all(|person| person.phone.starts_with('+') && person.phone.len() >= 10));
    }
}
