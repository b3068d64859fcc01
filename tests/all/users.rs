//! Users, their passwords, and kinds of devices, as a scenario names them to the built program.

use std::path::Path;
use std::process::{Command, Output};

use crate::fixtures::{MockProgram, program};

/// A folder with a scenario and files beside it.
fn folder(scenario: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn easload(verb: &str, folder: &Path) -> Output {
    Command::new(program())
        .args([verb, "s.toml"])
        .current_dir(folder)
        .env("EASLOAD_SEED", "3")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn scenario(url: &str, devices: &str) -> String {
    format!(
        "name = \"t\"\n[target]\nurl = \"{url}\"\n[devices]\nretry = \"50ms..200ms\"\nramp = \"500ms\"\n\
         heartbeat = \"2s\"\n{devices}\n[[phase]]\nkind = \"baseline\"\nduration = \"20s\"\n"
    )
}

/// Nobody has to check 40 accounts for a list that is wrong.
#[test]
fn where_half_the_users_are_refused_all_stop() {
    let mock = MockProgram::start(&["--scenario", "scenarios/healthy.toml"]);
    let users: String = (1..=40)
        .map(|user| {
            // The first user's password is right, or the run would end before its load.
            let password = if user % 2 == 1 { "secret" } else { "hushhush" };
            format!("load{user:04},{password}\n")
        })
        .collect();
    let folder = folder(
        &scenario(&mock.addresses.url, "count = 40\nusers_file = \"u.csv\"\n"),
        &[("u.csv", &format!("user,password\n{users}"))],
    );
    let output = easload("run", folder.path());
    let text = said(&output);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(
        text.contains("all devices were stopped when")
            && text.contains("of 40 users had been refused"),
        "{text}"
    );
    assert!(text.contains("after 3 refused logins each"), "{text}");
    assert!(!text.contains("hushhush"), "{text}");
    // Three for each of a fifth of the users.
    let refused = text
        .lines()
        .find_map(|line| line.trim().strip_suffix(" × HTTP 401")?.parse::<u32>().ok());
    assert_eq!(refused, Some(24), "{text}");
}

#[test]
fn a_users_file_with_mistakes_is_refused_with_all_of_them() {
    let folder = folder(
        &scenario("http://127.0.0.1:9", "count = 2\nusers_file = \"u.csv\"\n"),
        &[("u.csv", "user,password\na,hush\n,hush\nA,hush\nb\n")],
    );
    let output = easload("check", folder.path());
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in [
        "u.csv:3: the user is empty",
        "u.csv:4: `A` stands in line 2 already",
        "u.csv:5: expected 2 columns, found 1",
        "3 mistakes",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("hush"), "{text}");

    // Fewer users than asked for.
    std::fs::write(folder.path().join("u.csv"), "user\na\nb\n").unwrap();
    let more = scenario(
        "http://127.0.0.1:9",
        "count = 9\nusers = 9\nusers_file = \"u.csv\"\n",
    );
    std::fs::write(folder.path().join("s.toml"), more).unwrap();
    let text = said(&easload("check", folder.path()));
    assert!(text.contains("devices.users: expected at most 2"), "{text}");
    assert!(text.contains("devices.password_env: is missing"), "{text}");
}

/// What a run would lack is told before it.
#[test]
fn check_looks_for_certificates_and_token_secrets() {
    let url = "https://127.0.0.1:9";
    let checked = |devices: &str, users: &str| {
        let folder = folder(&scenario(url, devices), &[("u.csv", users)]);
        let output = easload("check", folder.path());
        (output.status.code(), said(&output))
    };
    let (code, text) = checked(
        "count = 2\nusers_file = \"u.csv\"",
        "user,certificate\nLAB\\a,a.pem\nb,/nowhere/b.pem\n",
    );
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "client certificate ",
        "a.pem: ",
        "/nowhere/b.pem: ",
        "certificates as the users file says",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let (_, text) = checked(
        "count = 1\nuser = \"a\"\ntoken_file = \"/nowhere/token\"",
        "",
    );
    assert!(text.contains("/nowhere/token: "), "{text}");
    let oauth = "count = 1\nuser = \"a\"\n[devices.oauth]\nendpoint = \"https://login.lab.example/t\"\n\
                 grant = \"client_credentials\"\nclient_id = \"x\"\nclient_secret_env = \"NO_SUCH_VARIABLE\"";
    let (_, text) = checked(oauth, "");
    assert!(text.contains("NO_SUCH_VARIABLE"), "{text}");
    // reqwest shows none.
    let (code, text) = {
        let url = "https://127.0.0.1:9\"\ntransport = \"reqwest";
        let devices = "count = 1\nuser = \"a\"\ncertificate_dir = \".\"";
        let folder = folder(&scenario(url, devices), &[]);
        let output = easload("check", folder.path());
        (output.status.code(), said(&output))
    };
    assert_eq!(code, Some(2), "{text}");
    let part = "devices.certificate_dir: client certificates belong to transport = \"lean\"";
    assert!(text.contains(part), "{text}");
    // Both ways to name them, and a password beside them.
    let both = "count = 1\nusers_file = \"u.csv\"\ncertificate_dir = \".\"\npassword_env = \"X\"";
    let (code, text) = checked(both, "user,certificate\na,a.pem\n");
    assert_eq!(code, Some(2), "{text}");
    for part in [
        "devices.certificate_dir: the users file has a certificate column",
        "devices.users_file: devices that show a certificate send neither",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_run_tells_what_check_warns_of() {
    let text = "name = \"t\"\n[mock]\nmax_concurrency = 1\n[devices]\ncount = 2\nusers = 1\n\
                [[phase]]\nkind = \"baseline\"\nduration = \"1s\"\n";
    let folder = folder(text, &[]);
    let text = said(&easload("run", folder.path()));
    assert!(
        text.contains("warning: a user's devices may have 2 requests open"),
        "{text}"
    );
    // More than there are port numbers; the run then ends for want of other things.
    let devices =
        "count = 70000\nuser = \"load{00001..70000}\"\npassword_command = \"echo secret\"\n";
    std::fs::write(
        folder.path().join("s.toml"),
        scenario("http://127.0.0.1:9", devices),
    )
    .unwrap();
    let output = easload("run", folder.path());
    let text = said(&output);
    assert!(
        text.contains("warning: ") && text.contains("source_addresses"),
        "{text}"
    );
    assert_ne!(output.status.code(), Some(0));
}

#[test]
fn a_password_comes_from_a_command_and_is_never_shown() {
    let mock = MockProgram::start(&["--scenario", "scenarios/healthy.toml"]);
    let devices = |command: &str| {
        let text =
            format!("count = 2\nuser = \"load{{0001..0002}}\"\npassword_command = \"{command}\"\n");
        let text = scenario(&mock.addresses.url, &text).replace("\"20s\"", "\"3s\"");
        text.replace("heartbeat = \"2s\"", "heartbeat = \"30s\"")
    };
    let folder = folder(&devices("printf 'secret\\\\nmore'"), &[]);
    let text = said(&easload("run", folder.path()));
    // Times and ports may hold those digits.
    assert!(!text.contains("HTTP 401"), "{text}");
    assert!(
        text.contains("Pings held                                    2"),
        "{text}"
    );
    for (command, part) in [
        ("exit 3", "password_command `exit 3`: exit status: 3"),
        ("true", "printed no password in its first line"),
        (
            "printf '\\\\nsecret'",
            "printed no password in its first line",
        ),
    ] {
        std::fs::write(folder.path().join("s.toml"), devices(command)).unwrap();
        let output = easload("run", folder.path());
        let text = said(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn kinds_of_devices_are_checked_and_told() {
    let kinds = "count = 100\nuser = \"load####\"\npassword_env = \"X\"\n\
        [[devices.profile]]\nname = \"old\"\nweight = 1\nversions = [\"2.5\", \"12.0\"]\nping_body = \"cached\"\n\
        [[devices.profile]]\nname = \"android\"\nweight = 3\nheartbeat = \"aosp\"\nnat_timeout = \"10m\"\n\
        [[devices.profile]]\nname = \"iphone\"\nweight = 6\nversions = [\"16.1\"]\nwait = \"sync\"\nquery = \"base64\"\n\
        heartbeat = \"5m..15m\"\n";
    let folder = folder(&scenario("http://127.0.0.1:9", kinds), &[]);
    let output = easload("check", folder.path());
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in [
        "old × 10: version 2.5 or 12.0, Ping, heartbeat 2 s, cached Pings",
        "android × 30: version 14.1, Ping, heartbeat adaptive as aosp (from 470 s), its network forgets it after 10m",
        "iphone × 60: version 16.1, hanging Sync, heartbeat 300 s to 900 s, base64 query",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }

    let wrong = "count = 10\nuser = \"load{9..1}\"\npassword_env = \"X\"\n\
        [[devices.profile]]\nname = \"a\"\nweight = 0\nwait = \"polling\"\nheartbeat = \"15m..5m\"\n\
        [[devices.profile]]\nname = \"a\"\nheartbeat = { steps = [\"8m\", \"4m\"], fal = \"step\" }\ndevice_type = \"a b\"\n\
        [[devices.profile]]\nnat_timeout = \"0s\"\nversions = []\n";
    let wrong = scenario("http://127.0.0.1:9", wrong).replace(
        "duration = \"20s\"",
        "duration = \"20s\"\nflight = { share = 2, duration = \"30s\" }",
    );
    std::fs::write(folder.path().join("s.toml"), wrong).unwrap();
    let output = easload("check", folder.path());
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in [
        "devices.user: the range 9..1 is empty",
        "devices.profile[1].weight: expected a number from",
        "devices.profile[1].wait: expected one of \"ping\", \"sync\"",
        "devices.profile[1].heartbeat: expected whole seconds",
        "devices.profile: `a` is there twice",
        "devices.profile[2].heartbeat.steps: expected 1 to 100 durations, each longer",
        "devices.profile[2].heartbeat.fal: unknown key; did you mean `fall`?",
        "devices.profile[2].device_type: expected 1 to 32 letters and digits",
        "devices.profile[3].name: is missing",
        "devices.profile[3].nat_timeout: expected more than 0s",
        "devices.profile[3].versions: expected at least one",
        "phase[1].flight.share: expected a number from 0 to 1",
        "phase[1].flight.duration: expected no more than the phase lasts",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}
