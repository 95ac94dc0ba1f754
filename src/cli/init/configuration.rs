//! The config file: every key explained, those chosen in force, the others commented out.

use std::{fs, io, path::Path};

use crate::cli::{exit::Result, init::Choice, usage, whole};
use crate::graph::Cloud;

const TEMPLATE: &str = include_str!("config.toml");

/// Writes it whole or not at all, for its owner alone to read; replaces a file only when told to.
pub(super) fn write(path: &Path, choice: &Choice, replace: bool) -> Result<()> {
    let failed = |error: io::Error| usage(format!("the config file {} cannot be written: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    whole::write(path, text(choice).as_bytes(), replace).map_err(failed)
}

fn text(choice: &Choice) -> String {
    let path = |path: &Path| toml::Value::from(path.display().to_string());
    let mut settings = vec![
        ("archive", Some(path(&choice.archive))),
        ("tenant_id", choice.tenant.clone().map(toml::Value::from)),
        ("client_id", choice.client_id.clone().map(toml::Value::from)),
        ("cloud", (choice.cloud != Cloud::Global).then(|| choice.cloud.name().into())),
        ("credential", Some(choice.kind.setting().into())),
        ("client_certificate_path", choice.certificate.as_deref().map(path)),
    ];
    if !choice.countries.is_empty() {
        settings.push(("countries", Some(choice.countries.clone().into())));
    }
    let in_force = |line: &str| {
        let key = line.strip_prefix("# ")?.split_once(" = ")?.0;
        let value = settings.iter().find(|(name, _)| *name == key)?.1.as_ref()?;
        Some(format!("{key} = {value}"))
    };
    TEMPLATE.lines().map(|line| in_force(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        config::File,
        exit::Failure,
        init::{Kind, absolute},
    };
    use crate::model::{relisting::Policy, source::Source, time::Age};

    fn choice() -> Choice {
        Choice {
            tenant: Some("contoso.com".to_owned()),
            client_id: None,
            cloud: Cloud::UsGovL5,
            kind: Kind::Certificate,
            certificate: Some(absolute(Path::new("/etc/a \"b\".pem"))),
            sources: Source::ALL.to_vec(),
            countries: vec!["DE".to_owned()],
            archive: "/srv/it's".into(),
        }
    }

    #[test]
    fn what_was_chosen_is_read_back_and_nothing_else_is_in_force() {
        let file: File = toml::from_str(&text(&choice())).unwrap();
        assert_eq!(file.archive.as_deref(), Some(Path::new("/srv/it's")));
        assert_eq!((file.graph.tenant_id.as_deref(), file.graph.client_id), (Some("contoso.com"), None));
        assert_eq!(
            (file.graph.cloud.as_deref(), file.graph.credential.as_deref()),
            (Some("usgov-l5"), Some("certificate"))
        );
        assert_eq!(file.graph.client_certificate_path.as_deref(), Some(Path::new("/etc/a \"b\".pem")));
        assert_eq!(file.retention.countries, ["DE"]);
        assert!(file.graph.client_secret.is_none() && file.graph.requests_per_20s.is_none());
    }

    #[test]
    fn every_line_that_is_commented_out_would_be_accepted() {
        let commented = |line: &str| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).map(str::to_owned);
        let all: String =
            TEMPLATE.lines().map(|line| commented(line).unwrap_or_else(|| line.to_owned()) + "\n").collect();
        let file: File = toml::from_str(&all).unwrap();
        assert_eq!((file.graph.concurrency, file.retention.countries.len()), (Some(32), 2));
    }

    #[test]
    fn every_key_of_the_program_is_explained() {
        for table in
            ["", "[graph]\n", "[sync]\n", "[retention]\n", "[seal]\n", "[ledger]\n", "[journal]\n", "[disposal]\n"]
        {
            let refusal =
                toml::from_str::<File>(&format!("{table}no_such_key = 1\n")).unwrap_err().message().to_owned();
            let keys: Vec<&str> = refusal.split('`').skip(3).step_by(2).collect();
            assert!(!keys.is_empty(), "{refusal}");
            for key in keys {
                assert!(TEMPLATE.contains(key), "{key} is not explained");
            }
        }
    }

    #[test]
    fn the_rule_shown_for_listing_again_is_the_one_in_force() {
        let (policy, hour) = (Policy::default(), Age::hours(1).0);
        let lines = [
            format!("# relist_factor = {:.1}", policy.factor),
            format!("# age_min = \"{}m\"", policy.age_min.0 * 60 / hour),
            format!("# sweep_margin = \"{}h\"", policy.sweep_margin.0 / hour),
            format!("# list_all_rows = {}", policy.list_all_rows),
            format!("# interval = \"{}m\"", crate::cli::watch::INTERVAL.0 * 60 / hour),
        ];
        for line in lines {
            assert!(TEMPLATE.contains(&format!("\n{line}\n")), "{line}");
        }
    }

    #[test]
    fn the_limits_shown_are_those_in_force() {
        let rates = crate::graph::budget::Rates::default();
        for (key, requests) in [
            ("requests_per_20s", rates.app.requests),
            ("record_requests_per_20s", rates.record_first.requests),
            ("record_pages_per_5min", rates.record_following.requests),
        ] {
            assert!(TEMPLATE.contains(&format!("\n# {key} = {requests}\n")), "{key} {requests}");
        }
    }

    #[test]
    fn a_file_that_came_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/config.toml");
        write(&path, &choice(), false).unwrap();
        let failure: Failure = write(&path, &choice(), false).unwrap_err();
        assert!(failure.message.contains("config.toml"), "{}", failure.message);
        write(&path, &choice(), true).unwrap();
    }
}
