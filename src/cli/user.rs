//! Who runs the program, as the operating system calls them.

use std::fs;

/// The name of the user whose rights the process has; where the system has no name for the number, that. The environment, which anybody
/// can set, is not asked.
pub(super) fn name() -> String {
    let uid = rustix::process::geteuid().as_raw();
    fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|passwd| name_in(&passwd, uid))
        .unwrap_or_else(|| format!("uid {uid}"))
}

fn name_in(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n+\nzofia:x:1000:1000::/home/zofia:/bin/sh\n";
        assert_eq!(name_in(passwd, 1000).as_deref(), Some("zofia"));
        assert_eq!(name_in(passwd, 7), None);
    }
}
