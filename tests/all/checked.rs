//! What `easload check` says of a scenario before a run: everything that would refuse the run, and nothing that a
//! file holds which was given by mistake.

use std::path::Path;
use std::process::{Command, Output};

use crate::fixtures::{MockProgram, program, together, undisturbed};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn easload(arguments: &[&str], folder: &Path) -> Output {
    Command::new(program())
        .args(arguments)
        .current_dir(folder)
        .env("EASLOAD_TEST_PASSWORD", "secret")
        .output()
        .unwrap()
}

fn against(target: &str, devices: &str) -> String {
    format!(
        "name = \"t\"\n{target}\n[devices]\ncount = 2\nusers = 2\nheartbeat = \"2s\"\nramp = \"1s\"\n{devices}\n\
         [[phase]]\nkind = \"ramp\"\nduration = \"1s\"\n[[phase]]\nkind = \"baseline\"\nduration = \"6s\"\n\
         [checks]\nthresholds = [\"timed_out < 1\"]\n"
    )
}

/// The same scenario is refused by `run`, before any load, with what `check` warns of.
#[test]
fn check_warns_of_everything_that_makes_a_run_refuse() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let server = "[target]\nurl = \"https://127.0.0.1:9\"";
    let plain = "[target]\nurl = \"http://127.0.0.1:9\"";
    let user = "user = \"load####\"\n";
    let env = "user = \"load####\"\npassword_env = \"EASLOAD_TEST_PASSWORD\"";
    let unset = "user = \"load####\"\npassword_env = \"EASLOAD_TEST_UNSET\"";
    let key = |text: &str| format!("{user}{text}");
    let cases: [(String, &[&str], &str); 12] = [
        (
            against(plain, unset),
            &[],
            "the environment variable EASLOAD_TEST_UNSET, named by devices.password_env, is not set",
        ),
        (
            against(plain, &key("password_file = \"none.txt\"")),
            &[],
            "none.txt: No such file or directory",
        ),
        (
            against(plain, &key("password_file = \"bad.txt\"")),
            &[],
            "bad.txt: line 2: expected user:password",
        ),
        (
            against(&format!("{server}\nca_file = \"none.pem\""), env),
            &[],
            "CA file none.pem: No such file or directory",
        ),
        (
            against(&format!("{server}\nca_file = \"bad.txt\""), env),
            &[],
            "CA file bad.txt: it holds no certificate in PEM form",
        ),
        (
            against(plain, &format!("{env}\nsource_addresses = [\"192.0.2.1\"]")),
            &[],
            "192.0.2.1 (not an address of this machine)",
        ),
        (
            against("[target]\nautodiscover = true", env),
            &[],
            "autodiscover: `load0001` is no mail address",
        ),
        (
            against(
                &format!("{server}\ninsecure = true"),
                &key("certificate_dir = \"certificates\""),
            ),
            &[],
            "load0001.pem: No such file or directory",
        ),
        (
            against("[mock]\ncertificate = \"none.pem\"\nkey = \"none.key\"", ""),
            &[],
            "cannot use the certificate: none.key: ",
        ),
        (
            against(plain, env),
            &["--write", "junit=none/report.xml"],
            "--write none/report.xml: No such file or directory",
        ),
        (
            against(plain, env),
            &["--runs", "bad.txt/runs"],
            "cannot write the run directory: bad.txt/runs: ",
        ),
        (
            against(plain, env),
            &["--metrics", &taken],
            "Address already in use",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.txt"), "load0001:x\nhunter2\n").unwrap();
    for (text, more, part) in cases {
        std::fs::write(folder.path().join("s.toml"), &text).unwrap();
        let arguments = |verb: &'static str| [&[verb, "s.toml"], more].concat();
        let output = easload(&arguments("check"), folder.path());
        let checked = said(&output);
        assert_eq!(output.status.code(), Some(0), "{text}\n{checked}");
        let warned = checked
            .lines()
            .any(|line| line.starts_with("warning   ") && line.contains(part));
        assert!(warned, "{part}:\n{checked}");
        let output = easload(&arguments("run"), folder.path());
        let refused = said(&output);
        assert_eq!(output.status.code(), Some(2), "{text}\n{refused}");
        assert!(refused.contains(part), "{part}:\n{refused}");
        assert!(!(checked + &refused).contains("hunter2"));
        assert!(!folder.path().join("runs").exists(), "no run, no directory");
    }
    drop(listener);
    // The control: nothing is missing, and nothing is left behind.
    std::fs::write(folder.path().join("s.toml"), against(plain, env)).unwrap();
    let arguments = ["check", "s.toml", "--write", "junit=new.xml"];
    let checked = said(&easload(&arguments, folder.path()));
    assert!(!checked.contains("warning"), "{checked}");
    assert!(!folder.path().join("new.xml").exists());
}

#[test]
fn check_says_what_the_limit_of_refused_logins_costs_users_with_many_devices() {
    let folder = tempfile::tempdir().unwrap();
    for (count, refusals, expected) in [
        (2, 1, None),
        (4, 1, Some("they send 1 at a time, up to 5 s apart")),
        (4, 2, None),
        (6, 2, Some("a user has 3 devices and devices.refusals = 2")),
        (6, 3, None),
        (8, 3, Some("they send 3 at a time, up to 5 s apart")),
    ] {
        let devices = format!(
            "refusals = {refusals}\nuser = \"load####\"\npassword_env = \"EASLOAD_TEST_PASSWORD\""
        );
        let text = against("[target]\nurl = \"http://127.0.0.1:9\"", &devices)
            .replace("count = 2", &format!("count = {count}"));
        std::fs::write(folder.path().join("s.toml"), text).unwrap();
        let checked = said(&easload(&["check", "s.toml"], folder.path()));
        let warnings: Vec<&str> = checked
            .lines()
            .filter(|line| line.starts_with("warning   "))
            .collect();
        assert_eq!(warnings.len(), usize::from(expected.is_some()), "{checked}");
        let is_right = warnings
            .iter()
            .all(|line| expected.is_some_and(|part| line.contains(part)));
        assert!(is_right, "{checked}");
    }
}

#[cfg(unix)]
#[test]
fn check_leaves_a_dangling_symlink_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (link, made) = (folder.path().join("r.xml"), folder.path().join("new.xml"));
    std::os::unix::fs::symlink(&made, &link).unwrap();
    let write = format!("junit={}", link.display());
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/healthy.toml");
    let output = easload(&["check", scenario, "--write", &write], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(std::fs::read_link(&link).unwrap(), made);
    assert!(!made.exists());
}

#[cfg(unix)]
#[test]
fn check_warns_of_too_few_descriptors_as_a_run_does() {
    for verb in ["check", "run --runs /tmp"] {
        let command = format!("ulimit -n 300; exec {} {verb}", program().display());
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        let said = said(&output);
        assert!(
            said.contains("the limit is 300; raise it with `ulimit -n "),
            "{verb}: {said}"
        );
    }
}

/// A file with its text as Windows writes it.
fn write_utf16(path: &Path, text: &str, is_big: bool) {
    let units = text.encode_utf16();
    let bytes: Vec<u8> = if is_big {
        let units = units.flat_map(u16::to_be_bytes);
        [0xFE, 0xFF].into_iter().chain(units).collect()
    } else {
        let units = units.flat_map(u16::to_le_bytes);
        [0xFF, 0xFE].into_iter().chain(units).collect()
    };
    std::fs::write(path, bytes).unwrap();
}

/// All of the files are in UTF-16, and the program is started elsewhere.
#[test]
fn files_are_found_beside_the_scenario_and_may_be_utf16() {
    let mock = MockProgram::start(&["--bearer-token", "tok"]);
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().join("lab");
    std::fs::create_dir(&lab).unwrap();
    let target = format!("[target]\nurl = \"{}\"", mock.addresses.url);
    write_utf16(&lab.join("password.txt"), "secret\r\n", false);
    write_utf16(
        &lab.join("users.csv"),
        "user\r\nload0001\r\nj\u{fc}rgen\r\n",
        true,
    );
    write_utf16(
        &lab.join("both.csv"),
        "user,password\r\nload0001,secret\r\nj\u{fc}rgen,secret\r\n",
        false,
    );
    write_utf16(
        &lab.join("tokens.txt"),
        "load0001:load0001.tok\r\nload0002:load0002.tok\r\n",
        true,
    );
    let pool = include_bytes!("../../crates/iis/tests/data/exchange2016-applicationHost.config");
    write_utf16(
        &lab.join("pool.config"),
        &String::from_utf8_lossy(pool),
        false,
    );
    let cases = [
        (
            "password",
            "user = \"load####\"\npassword_file = \"password.txt\"",
            false,
        ),
        (
            "users",
            "users_file = \"users.csv\"\npassword_file = \"password.txt\"",
            true,
        ),
        ("both", "users_file = \"both.csv\"", false),
        (
            "tokens",
            "user = \"load####\"\ntoken_file = \"tokens.txt\"",
            true,
        ),
    ];
    together(cases, |(name, devices, is_big)| {
        let text = against(&target, devices) + "[policy]\nfile = \"pool.config\"\n";
        let file = format!("lab/{name}.toml");
        write_utf16(&folder.path().join(&file), &text, is_big);
        let checked = said(&easload(&["check", &file], folder.path()));
        assert!(
            !checked.contains("warning") && !checked.contains("error"),
            "{checked}"
        );
        let run = || easload(&["run", "--quiet", &file], folder.path());
        let output = undisturbed(run, said);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{devices}: {}",
            said(&output)
        );
        assert!(!said(&output).contains("HTTP 401"), "{}", said(&output));
    });
    // The control: where the program is started, there is none of these files.
    assert!(!folder.path().join("password.txt").exists());
}

/// Every key of a scenario that names a file or folder.
#[test]
fn every_path_of_a_scenario_is_relative_to_its_folder() {
    use scenario::parse;
    let user = "user = \"load####\"\n";
    let server = |more: &str| format!("[target]\nurl = \"https://127.0.0.1:9\"\n{more}");
    let env = format!("{user}password_env = \"X\"");
    let cases = [
        against(&server("ca_file = \"HERE\""), &env),
        against(&server(""), &format!("{user}password_file = \"HERE\"")),
        against(&server(""), &format!("{user}token_file = \"HERE\"")),
        against(&server(""), &format!("{user}certificate_dir = \"HERE\"")),
        against(&server(""), &env) + "[[observe.source]]\npath = \"HERE\"\nformat = \"perfmon\"\n",
        against("[mock]\ncertificate = \"HERE\"\nkey = \"k\"", ""),
        against("[mock]\ncertificate = \"c\"\nkey = \"HERE\"", ""),
        against("[mock]\ntls = true\nclient_ca = \"HERE\"", ""),
        against("[mock]\nlogs = \"HERE\"", ""),
    ];
    for text in cases {
        for (written, read) in [("x/y", "lab/x/y"), ("/x/y", "/x/y")] {
            let text = text.replace("HERE", written);
            let plan = parse("lab/s.toml", &text).unwrap_or_else(|error| panic!("{error}"));
            let json = serde_json::to_string(&plan).unwrap();
            assert!(json.contains(&format!("\"{read}\"")), "{text}\n{json}");
        }
    }
    // These are read at once, and the message has the path.
    for text in [
        against(&server(""), "users_file = \"HERE\""),
        against(&server(""), &env) + "[policy]\nfile = \"HERE\"\n",
        against("[mock.pool]\nconfig_file = \"HERE\"", ""),
    ] {
        let text = text.replace("HERE", "x/y");
        let lines = parse("lab/s.toml", &text).unwrap_err().lines();
        let found = lines.iter().any(|line| line.contains(": lab/x/y: "));
        assert!(found, "{text}\n{lines:?}");
    }
}

/// None of what these files hold may be printed, by whatever command they are given to.
#[test]
fn files_with_secrets_that_are_given_by_mistake_are_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (1..=40)
        .map(|n| format!("load{n:04},hunter2-{n}\n"))
        .collect();
    let files = [
        ("users.csv", format!("user,password\n{rows}")),
        ("passwords.txt", rows.replace(',', ":")),
        ("semicolon.csv", rows.replace(',', "; x = ")),
        ("token.txt", "aHVudGVyMg==\n".repeat(9)),
        (
            "key.pem",
            "-----BEGIN PRIVATE KEY-----\nhunter2/hunter2+\n-----END PRIVATE KEY-----\n".to_owned(),
        ),
        ("values.txt", "hunter2=abc\n".repeat(9)),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), &text).unwrap();
        for arguments in [
            vec!["check", name],
            vec!["run", name],
            vec!["probe", "--scenario", name],
            vec!["mock", "--scenario", name],
            vec!["mock", "--pool-config", name],
            vec!["policy", "lint", name],
        ] {
            let output = easload(&arguments, folder.path());
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
            for secret in ["hunter2", "aHVudGVyMg", "load0"] {
                assert!(!said.contains(secret), "{arguments:?}: {said}");
            }
            assert!(
                said.matches("syntax: ").count() <= 5,
                "{arguments:?}: {said}"
            );
        }
    }
    let said = said(&easload(&["check", "users.csv"], folder.path()));
    assert!(said.contains("users.csv:1:"), "{said}");
    assert!(
        said.contains("of syntax are not shown; expected a scenario file in TOML"),
        "{said}"
    );
}

/// A password where it should not be is not shown either; what else is wrong has its line.
#[test]
fn messages_show_the_lines_of_keys_without_their_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let text = against(
        "[target]\nurl = \"https://127.0.0.1:9\"\nproxy = \"http://me:hunter2@proxy:3128\"\nproxy_password = \"hunter2\"",
        "user = \"load####\"\npassword = \"hunter2\"\nrefusals = 0\noauth = { client_secret = \"hunter2\" }",
    );
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    let said = said(&easload(&["check", "s.toml"], folder.path()));
    assert!(!said.contains("hunter2"), "{said}");
    for part in [
        "devices.password: a password does not belong in a file",
        "password = *********",
        "refusals = 0",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
