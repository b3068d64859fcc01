//! The built program as a user meets it: mistakes, dead targets, signals, full disks.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
#[cfg(target_os = "linux")]
use std::time::Duration;

use crate::fixtures::{Do, MockProgram, program, raw_server, text, together};

fn easload(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn scenario(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A short run against a URL.
fn against(url: &str, more: &str) -> String {
    format!(
        "name = \"t\"\n[target]\nurl = \"{url}\"\n[devices]\ncount = 4\nusers = 4\nuser = \"load####\"\n\
         password_env = \"EASLOAD_TEST_PASSWORD\"\nheartbeat = \"2s\"\nretry = \"50ms..200ms\"\nramp = \"100ms\"\n{more}\n\
         [[phase]]\nkind = \"baseline\"\nduration = \"3s\"\n"
    )
}

fn run(file: &Path, runs: &Path) -> Command {
    let mut command = Command::new(program());
    command
        .args(["run", "--seed", "3"])
        .arg(file)
        .arg("--runs")
        .arg(runs);
    command.env("EASLOAD_TEST_PASSWORD", "secret");
    command
}

fn run_against(url: &str) -> (Output, tempfile::TempDir) {
    let file = scenario(&against(url, ""));
    let runs = tempfile::tempdir().unwrap();
    (run(file.path(), runs.path()).output().unwrap(), runs)
}

/// A key that must be there, and is misspelt: one mistake.
#[test]
fn misspelt_key_is_not_missing_as_well() {
    let text = "name = \"x\"\n[mock]\n[devices]\ncuont = 5\n[[phase]]\nkind = \"baseline\"\nduration = \"10s\"\n";
    let check = |text: &str| {
        let file = scenario(text);
        stderr(&easload(&["check", file.path().to_str().unwrap()]))
    };
    let misspelt = check(text);
    assert!(misspelt.contains("did you mean `count`?"), "{misspelt}");
    assert!(!misspelt.contains("is missing"), "{misspelt}");
    let missing = check(&text.replace("cuont = 5\n", ""));
    assert!(missing.contains("devices.count: is missing"), "{missing}");
}

#[test]
fn every_mistake_of_a_scenario_is_reported_at_once() {
    let file = scenario(
        "name = \"x\"\nseeed = 3\n\n[mock]\ntopology = \"ring\"\nmin_heartbeat = 5\n\n[devices]\ncount = 100\n\
         users = 5\nheartbeat = \"2h\"\nversions = [\"15.0\"]\n\n[mail]\nrate = \"fast\"\n\n\
         [[phase]]\nkind = \"basline\"\nduration = \"10s\"\nabandon = { share = 2, after = \"9s..1s\" }\n",
    );
    let output = easload(&["check", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    for (line, part) in [
        (2, "seeed: unknown key; did you mean `seed`?"),
        (
            5,
            "mock.topology: expected one of \"one-server\", \"two-servers\", \"direct\", found \"ring\"",
        ),
        (
            6,
            "mock.min_heartbeat: expected a duration such as \"30s\" or \"8m\", found 5",
        ),
        (10, "devices.users: 100 devices over 5 users"),
        (
            11,
            "devices.heartbeat: expected whole seconds from 1s to 3540s",
        ),
        (12, "unknown protocol version `15.0`; known are 2.5"),
        (15, "mail.rate: expected a number"),
        (18, "phase[1].kind: expected one of \"ramp\""),
        (
            20,
            "phase[1].abandon.share: expected a number from 0 to 1, found 2",
        ),
        (20, "phase[1].abandon.after: expected durations from and to"),
    ] {
        assert!(text.contains(part), "{part}\n{text}");
        assert!(
            text.contains(&format!(".toml:{line}:")),
            "line {line}\n{text}"
        );
    }
    assert!(text.contains("10 mistakes"), "{text}");
}

#[test]
fn broken_toml_and_missing_files_are_named() {
    let file = scenario("name = \"x\n[devices]\ncount = \n");
    let output = easload(&["run", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(".toml:1:"), "{}", stderr(&output));
    let output = easload(&["run", "/nowhere/scenario.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/nowhere/scenario.toml"));
    let output = easload(&["report", "/nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("expected a run directory"));
    assert_eq!(easload(&["rnu"]).status.code(), Some(2));
}

#[test]
fn passwords_come_from_where_the_scenario_says() {
    let file = scenario(&against("http://127.0.0.1:9", ""));
    let runs = tempfile::tempdir().unwrap();
    let output = run(file.path(), runs.path())
        .env_remove("EASLOAD_TEST_PASSWORD")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("EASLOAD_TEST_PASSWORD"),
        "{}",
        stderr(&output)
    );

    let passwords = scenario("load0001:a\nload0001:b\nhunter2\n");
    let key = format!("password_file = {:?}", passwords.path());
    let file = scenario(
        &against("http://127.0.0.1:9", "")
            .replace("password_env = \"EASLOAD_TEST_PASSWORD\"", &key),
    );
    let output = run(file.path(), runs.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    for part in [
        "line 2: user `load0001` is there twice",
        "line 3: expected user:password",
        "user `load0004` has no line",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(
        !text.contains("hunter2"),
        "what may be a password is not shown"
    );
}

#[tokio::test]
async fn targets_that_are_none_are_told_before_the_load() {
    // Bound and never listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dead = format!("http://{}", socket.local_addr().unwrap());
    let html =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>";
    let html = format!(
        "http://{}",
        raw_server(vec![vec![Do::Read, text(html), Do::Hold]]).await
    );
    let gone = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let gone = format!(
        "http://{}",
        raw_server(vec![vec![Do::Read, text(gone), Do::Hold]]).await
    );
    let old = "HTTP/1.1 200 OK\r\nMS-ASProtocolVersions: 1.0,2.0\r\n\
               MS-ASProtocolCommands: Sync\r\nContent-Length: 0\r\n\r\n";
    let old = format!(
        "http://{}",
        raw_server(vec![vec![Do::Read, text(old), Do::Hold]]).await
    );
    let plain = raw_server(vec![vec![
        text("HTTP/1.1 400 Bad Request\r\n\r\n"),
        Do::Hold,
    ]])
    .await;
    let cases = [
        (dead, "connection refused"),
        ("http://no-such-host.invalid".to_owned(), "cannot resolve"),
        (html, "not an ActiveSync server"),
        (gone, "HTTP 404"),
        (old, "1.0,2.0"),
        (format!("https://{plain}"), "does not speak TLS"),
    ];
    for (url, part) in cases {
        let (output, runs) = tokio::task::spawn_blocking(move || run_against(&url))
            .await
            .unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(6), "{text}");
        assert!(text.contains(part), "{part}\n{text}");
        assert!(
            std::fs::read_dir(runs.path()).unwrap().next().is_none(),
            "no run, no directory"
        );
    }
}

#[tokio::test]
async fn hostile_answers_are_counted_and_survived() {
    let options = "HTTP/1.1 200 OK\r\nMS-ASProtocolVersions: 14.1\r\nContent-Length: 0\r\n\r\n";
    let evil: Vec<u8> = [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n"[..],
        // A Provision element that announces 4 GiB of opaque data.
        b"\x03\x01\x6A\x00\x00\x0E\x45\xC3\x8F\xFF\xFF\xFF\x7F",
    ]
    .concat();
    let script = vec![Do::Read, text(options), Do::Read, Do::Send(evil), Do::Hold];
    let url = format!("http://{}", raw_server(vec![script]).await);
    let (output, _runs) = tokio::task::spawn_blocking(move || run_against(&url))
        .await
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(5),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert!(
        stdout(&output).contains("exceeds the limit"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn wrong_passwords_stop_their_users_only() {
    let mock = MockProgram::start(&["--scenario", "scenarios/healthy.toml"]);
    let passwords = scenario("load0001:secret\nload0002:wrong\nload0003:secret\nload0004:secret\n");
    let key = format!("password_file = {:?}", passwords.path());
    let file = scenario(
        &against(&mock.addresses.url, "")
            .replace("password_env = \"EASLOAD_TEST_PASSWORD\"", &key)
            .replace("heartbeat = \"2s\"", "heartbeat = \"30s\""),
    );
    let runs = tempfile::tempdir().unwrap();
    let output = run(file.path(), runs.path()).output().unwrap();
    let text = stdout(&output);
    assert!(
        text.contains("1 of 4 users were stopped after 3 refused logins each"),
        "{text}"
    );
    assert!(
        text.contains("load0002") && text.contains("3 × HTTP 401"),
        "{text}"
    );
    assert!(
        text.contains("Pings held                                    3"),
        "the others go on\n{text}"
    );
    let everything = format!("{text}{}", stderr(&output));
    assert!(!everything.contains("secret") && !everything.contains("c2VjcmV0"));
    // Nor do passwords reach the disk, in clear or as Basic credentials.
    for entry in std::fs::read_dir(runs.path()).unwrap() {
        for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(
                !text.contains("wrong") && !text.contains("Basic "),
                "{text}"
            );
        }
    }
}

/// One wrong password for all users costs one refused login, whether or not OPTIONS is answered to anybody,
/// and of however many servers.
#[tokio::test]
async fn a_refused_login_ends_a_run_before_its_load() {
    let server = wiremock::MockServer::start().await;
    let options = wiremock::ResponseTemplate::new(200)
        .insert_header("MS-ASProtocolVersions", "14.1")
        .insert_header("MS-ASProtocolCommands", "Sync");
    wiremock::Mock::given(wiremock::matchers::method("OPTIONS"))
        .respond_with(options)
        .mount(&server)
        .await;
    let refused = wiremock::ResponseTemplate::new(401);
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(refused)
        .mount(&server)
        .await;
    let other = wiremock::MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(
            wiremock::ResponseTemplate::new(401)
                .insert_header("WWW-Authenticate", "Negotiate, NTLM"),
        )
        .mount(&other)
        .await;
    let password = "the password in the environment variable EASLOAD_TEST_PASSWORD";
    let urls = |urls: &[&str]| format!("{urls:?}");
    // Logins that each server has seen so far.
    let mut before = [0, 0];
    for (url, expected, parts) in [
        (
            urls(&[&server.uri()]),
            (1, 0),
            &["(HTTP 401)", password][..],
        ),
        (
            urls(&[&other.uri()]),
            (0, 1),
            &["HTTP 401: the server does not offer Basic authentication here, but Negotiate, NTLM"],
        ),
        (
            urls(&[&server.uri(), &other.uri()]),
            (1, 0),
            &["user `load0001`"],
        ),
    ] {
        let text = against("URL", "[mail]\nrate = 50\n").replace("\"URL\"", &url);
        let file = scenario(&text);
        let runs = tempfile::tempdir().unwrap();
        let mut command = run(file.path(), runs.path());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(6), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(
            text.contains("Check the form of the user name (user, DOMAIN\\user or user@domain)"),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
        let mut seen = [0, 0];
        for (server, seen) in [&server, &other].into_iter().zip(&mut seen) {
            for request in server.received_requests().await.unwrap() {
                let is_open = request.method.as_str() == "OPTIONS" && server.uri() != other.uri();
                *seen += u32::from(!is_open);
            }
        }
        let asked = (seen[0] - before[0], seen[1] - before[1]);
        before = seen;
        assert_eq!(asked, expected, "{url}");
        assert!(
            std::fs::read_dir(runs.path()).unwrap().next().is_none(),
            "no run, no directory"
        );
    }
}

/// What a server that never answers, one of the other scheme, and one of another kind are told as, by `run`
/// and by `probe`, with the same exit code.
#[tokio::test]
async fn run_and_probe_agree_on_targets_that_cannot_be_used() {
    let hangs = raw_server(vec![vec![Do::Hold]]).await;
    let closes = raw_server(vec![vec![Do::Read, Do::Close]]).await;
    let plain = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let plain = raw_server(vec![vec![text(plain), Do::Hold]]).await;
    let error = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    let error = raw_server(vec![vec![Do::Read, text(error), Do::Hold]]).await;
    let html = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>";
    let html = raw_server(vec![vec![Do::Read, text(html), Do::Hold]]).await;
    let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    let refused = raw_server(vec![vec![Do::Read, text(refused), Do::Hold]]).await;
    let options = "HTTP/1.1 200 OK\r\nMS-ASProtocolVersions: 14.1\r\nContent-Length: 0\r\n\r\n";
    let silent = raw_server(vec![vec![Do::Read, text(options), Do::Hold]]).await;
    let tls = MockProgram::start(&["--tls"]);
    let tls = tls.addresses.listen;
    let to_https = "if this port speaks TLS, the URL begins with https://";
    let to_http = "if this port speaks plain HTTP, the URL begins with http://";
    let cases = [
        (
            format!("http://{hangs}"),
            "it accepts connections and gives no answer within 10 s",
        ),
        (
            format!("http://{silent}"),
            "it accepts connections and gives no answer within 10 s",
        ),
        (format!("https://{hangs}"), "no TLS connection within 10 s"),
        (format!("http://{closes}"), to_https),
        (format!("http://{tls}"), to_https),
        (format!("https://{plain}"), to_http),
        (format!("https://{tls}"), "TLS: "),
        (
            format!("http://{error}"),
            "OPTIONS was answered with HTTP 500",
        ),
        (format!("http://{html}"), "not an ActiveSync server"),
        (format!("http://{refused}"), "refuses the"),
    ];
    // All at once, because some take ten seconds.
    let played = cases.map(|(url, part)| {
        let mut probe = Command::new(program());
        probe
            .args(["probe", &url, "--user", "load0001"])
            .env("EASLOAD_PASSWORD", "secret");
        let played = tokio::task::spawn_blocking(move || {
            let probe = probe
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let (run, _runs) = run_against(&url);
            (run, probe.wait_with_output().unwrap())
        });
        (part, played)
    });
    for (part, played) in played {
        let (run, probe) = played.await.unwrap();
        for output in [run, probe] {
            let text = format!("{}{}", stdout(&output), stderr(&output));
            assert_eq!(output.status.code(), Some(6), "{part}\n{text}");
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}

#[test]
fn a_host_without_a_scheme_gets_a_hint() {
    for (url, part) in [
        (
            "mail.lab.example",
            "it has no scheme; expected a URL such as https://mail.lab.example",
        ),
        (
            "mail.lab.example:444",
            "expected a URL such as https://mail.lab.example:444",
        ),
        ("10.0.0.5", "expected a URL such as https://10.0.0.5"),
        (
            "a:hush@mail.lab.example",
            "`***@mail.lab.example` is not a target",
        ),
    ] {
        let (output, _runs) = run_against(url);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(part), "{part}\n{text}");
    }
    let text = stderr(&easload(&["probe", "mail.lab.example"]));
    assert!(
        text.contains("easload probe https://mail.lab.example --user NAME"),
        "{text}"
    );
    let text = stderr(&easload(&["probe", "no-such-file.toml"]));
    assert!(!text.contains("hint"), "{text}");
}

/// A trigger without success is not a recycle that was not seen: nothing after it is judged.
#[test]
fn a_trigger_that_fails_makes_a_run_inconclusive_with_its_error_first() {
    let cases = [
        (
            "trigger_command = \"echo no route >&2; exit 255\"",
            "recycle command `echo …`: exit status: 255: no route",
        ),
        (
            "trigger_url = \"http://127.0.0.1:9/hook\"",
            "recycle web hook http://127.0.0.1:9/hook: ",
        ),
        (
            "trigger_command = \"sleep 100\"",
            "the trigger had not ended when the run ended",
        ),
    ];
    together(cases, |(trigger, problem)| {
        let file = scenario(&format!(
            "name = \"t\"\n[mock]\nmin_heartbeat = \"1s\"\n[devices]\ncount = 4\nheartbeat = \"2s\"\n\
             [[phase]]\nkind = \"baseline\"\nduration = \"2s\"\n\
             [[phase]]\nkind = \"recycle\"\nduration = \"2s\"\n{trigger}\n\
             [[phase]]\nkind = \"recovered\"\nduration = \"2s\"\n\
             [checks]\nsymptom = \"any\"\nthresholds = [\"pings_sent.recovered > 0\", \
             \"pings_sent.baseline > 0\"]\n"
        ));
        let runs = tempfile::tempdir().unwrap();
        let output = run(file.path(), runs.path()).output().unwrap();
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(5), "{text}{}", stderr(&output));
        let first = text.split("Problem: ").nth(1).unwrap_or(&text);
        assert!(first.starts_with(problem), "{text}");
        let because = format!("not judged, because the recycle phase was not triggered: {problem}");
        let line = |name: &str| {
            let line = text
                .lines()
                .find(|line| line.contains(&format!("  {name}")));
            line.unwrap_or_else(|| panic!("{name}: {text}"))
        };
        for name in [
            "recycle seen",
            "restored",
            "cost",
            "pings_sent.recovered > 0",
        ] {
            let line = line(name);
            assert!(
                line.starts_with("  no data") && line.contains(&because),
                "{line}"
            );
        }
        let before = line("pings_sent.baseline > 0");
        assert!(before.starts_with("  pass"), "{before}");
        assert!(!text.contains("no recycle was seen"), "{text}");
    });
}

#[test]
fn an_untrusted_certificate_is_refused_with_its_issuer() {
    let mock = MockProgram::start(&["--tls"]);
    let (output, _runs) = run_against(&mock.addresses.url);
    assert_eq!(output.status.code(), Some(6));
    let text = stderr(&output);
    assert!(
        text.contains("not trusted") && text.contains("easload mock CA"),
        "{text}"
    );
    let insecure =
        against(&mock.addresses.url, "").replace("[devices]", "insecure = true\n[devices]");
    let output = easload(&["check", scenario(&insecure).path().to_str().unwrap()]);
    assert!(
        stdout(&output).contains("certificate not verified"),
        "{}",
        stdout(&output)
    );
}

/// What would spoil a run that starts now is told before it: a secret that is not set, a recycle that
/// is not due; and everything that the run will look at.
#[test]
fn check_tells_what_a_run_would_look_at_and_miss() {
    let text = "name = \"lab\"\n[target]\nurl = \"https://localhost:1\"\n[devices]\ncount = 10\nusers = 10\n\
        user = \"load####\"\npassword_env = \"EASLOAD_TEST_UNSET\"\n[policy]\ntime = \"29h\"\n\
        started = \"2026-03-14T20:00:00Z\"\ntime_zone = \"Europe/Berlin\"\n\
        [[observe.source]]\npath = \"log.csv\"\nformat = \"perfmon\"\n\
        [[phase]]\nkind = \"baseline\"\nduration = \"20s\"\n[[phase]]\nkind = \"recycle\"\n\
        duration = \"20s\"\ntrigger = \"observe\"\n\
        [checks]\nrecycle = \"by-policy\"\nthresholds = [\"sync.p95 < 10s\"]\n";
    let file = scenario(text);
    let output = easload(&["check", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed = stdout(&output);
    for part in [
        "log.csv, every 1s",
        "policy    [policy]: at an age of 1d5h, and the worker started at 2026-03-14 21:00:00 \
         (Europe/Berlin)",
        "recycle when the policy says",
        "threshold sync.p95 < 10s",
        "warning   the environment variable EASLOAD_TEST_UNSET, named by devices.password_env, is not set",
    ] {
        assert!(printed.contains(part), "{part}:\n{printed}");
    }
    // Due when the run starts, which is neither in the recycle phase nor after the run.
    assert!(!printed.contains("no recycle is due in it"), "{printed}");
    let tonight = text.replace(
        "started = \"2026-03-14T20:00:00Z\"\n",
        "started = \"2199-03-14T20:00:00Z\"\n",
    );
    let printed = stdout(&easload(&[
        "check",
        scenario(&tonight).path().to_str().unwrap(),
    ]));
    assert!(printed.contains("no recycle is due in it"), "{printed}");
    let unknown = text.replace("started = \"2026-03-14T20:00:00Z\"\n", "");
    let printed = stdout(&easload(&[
        "check",
        scenario(&unknown).path().to_str().unwrap(),
    ]));
    assert!(
        printed.contains("once the server says when it started") && !printed.contains("if the run"),
        "{printed}"
    );
    let never = text.replace("time = \"29h\"", "time = \"0s\"");
    let refused = stderr(&easload(&[
        "check",
        scenario(&never).path().to_str().unwrap(),
    ]));
    assert!(
        refused.contains("recycles the pool neither at an age nor"),
        "{refused}"
    );
    let file = scenario(&text.replace("password_env", "password"));
    let output = easload(&["check", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("password_file"),
        "{}",
        stderr(&output)
    );
}

#[cfg(unix)]
#[test]
fn too_few_descriptors_are_told_before_the_run() {
    let command = format!(
        "ulimit -n 300; exec {} run --runs /nowhere",
        program().display()
    );
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("the limit is 300") && text.contains("ulimit -n "),
        "{text}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_run_with_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let command = format!(
        "mount -t tmpfs -o size=28k tmpfs {path} && exec {} run --quiet --runs {path}",
        program().display()
    );
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", &command])
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no unshare on this machine");
        return;
    };
    let text = stderr(&output);
    if text.contains("mount:") || text.contains("unshare:") {
        eprintln!("skipped: no private mount is allowed here: {text}");
        return;
    }
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(
        text.contains("cannot write the run directory") && text.contains("No space left"),
        "{text}"
    );
    // The disk is full, and the report is there.
    let printed = stdout(&output);
    assert!(
        printed.contains("Verdict: INCONCLUSIVE (the run broke off)"),
        "{printed}"
    );
}

#[test]
fn a_taken_port_is_named() {
    let mock = MockProgram::start(&[]);
    let address = mock.addresses.listen.to_string();
    let output = easload(&["mock", "--listen", &address, "--control", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
}

#[test]
fn wbxml_is_decoded_and_encoded() {
    let hex = "03016a00000d4547033200 01494a03350001010 1";
    let file = scenario(hex);
    let path = file.path().to_str().unwrap();
    let output = easload(&["wbxml", "decode", "--hex", path]);
    let xml = stdout(&output);
    assert!(
        xml.contains("<Ping xmlns=\"Ping\">") && xml.contains("<Folder>5</Folder>"),
        "{xml}"
    );
    let file = scenario(&xml);
    let output = easload(&["wbxml", "encode", "--hex", file.path().to_str().unwrap()]);
    assert_eq!(stdout(&output).trim(), hex.replace(' ', ""));
    let file = scenario("<html/>");
    let output = easload(&["wbxml", "encode", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("`html` has no namespace"),
        "{}",
        stderr(&output)
    );
    let output = easload(&["wbxml", "decode", file.path().to_str().unwrap()]);
    assert_eq!(
        stderr(&output),
        "error: the body is an HTML page, not WBXML (byte 0 of the body)\n"
    );
    let file = scenario("<Ping xmlns='Ping'/><Ping xmlns='Ping'/>");
    let output = easload(&["wbxml", "encode", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: byte 20: element `Ping` is a second root element; a document has one\n"
    );
}

#[test]
fn a_path_that_leaves_something_out_names_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let easload = |arguments: &[&str]| {
        let mut command = Command::new(program());
        stderr(
            &command
                .current_dir(&folder)
                .args(arguments)
                .output()
                .unwrap(),
        )
    };
    let none = "No such file or directory (os error 2)";
    assert_eq!(
        easload(&["check", "healthy"]),
        format!("error: healthy: {none}; expected a scenario file (.toml)\n")
    );
    let runs = "error: runs/run.json: No such file or directory (os error 2); expected a run directory, as \
                `easload run` prints at its end";
    assert_eq!(easload(&["report", "runs"]), format!("{runs}\n"));
    std::fs::create_dir(folder.path().join("scenarios")).unwrap();
    std::fs::write(folder.path().join("scenarios/healthy.toml"), "").unwrap();
    for name in [
        "20260101T000000Z-a",
        "20260314T030000Z-a",
        "20270101T000000Z-x",
    ] {
        let run = folder.path().join("runs").join(name);
        std::fs::create_dir_all(&run).unwrap();
        if !name.ends_with('x') {
            std::fs::write(run.join("run.json"), "{}").unwrap();
        }
    }
    let meant = "; did you mean scenarios/healthy.toml?\n";
    assert_eq!(
        easload(&["check", "healthy.toml"]),
        format!("error: healthy.toml: {none}{meant}")
    );
    for command in ["check", "run"] {
        assert_eq!(
            easload(&[command, "healthy"]),
            format!("error: healthy: {none}; expected a scenario file (.toml){meant}")
        );
    }
    assert_eq!(
        easload(&["report", "runs"]),
        format!("{runs}; did you mean runs/20260314T030000Z-a?\n")
    );
}

/// The forms themselves are tested beside the reader.
#[test]
fn wbxml_is_decoded_from_what_logs_contain() {
    let unpadded = include_str!("../data/cases/a1-tbsync-unpadded.hex");
    let dump = "00000000: 0301 6a00 0006 454d 4e03 3100 0148 4a03  ..j...EMN.1..HJ.\n\
                00000010: 3130 0001 4c03 3000 0101 0101            10..L.0.....\n";
    let base64 = "AwFqAAAGRU1OAzEAAUhKAzEwAAFMAzAAAQEBAQ==";
    let listed = unpadded.trim().replace(' ', ", 0x");
    for (switch, text) in [
        ("--hex", unpadded),
        ("--hex", dump),
        ("--hex", &format!("0x{listed}")),
        ("--base64", base64),
    ] {
        let file = scenario(text);
        let output = easload(&["wbxml", "decode", switch, file.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let xml = stdout(&output);
        assert!(xml.contains("<Estimate>0</Estimate>"), "{xml}");
    }
    let file = scenario("03 01\n6a 0g\n");
    let path = file.path().to_str().unwrap();
    let output = easload(&["wbxml", "decode", "--hex", path]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.starts_with("error: line 2: `0g` is not hexadecimal; expected"),
        "{text}"
    );
    let output = easload(&["wbxml", "decode", "--hex", "--base64", path]);
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(target_os = "linux")]
mod signals {
    use super::*;
    use crate::fixtures::{children, is_alive};
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::Child;

    /// Five minutes with mail under way.
    const LONG: &str = "name = \"long\"\n[mock]\nmin_heartbeat = \"1s\"\n[devices]\ncount = 100\n\
        heartbeat = \"8s\"\nramp = \"500ms\"\n[mail]\nrate = 25\n[[phase]]\nkind = \"ramp\"\nduration = \"1s\"\n\
        [[phase]]\nkind = \"baseline\"\nduration = \"300s\"\n";

    /// A run, up to its first baseline second.
    fn started(runs: &Path) -> (Child, BufReader<std::process::ChildStderr>) {
        let file = scenario(LONG);
        let mut child = run(file.path(), runs)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("baseline") {
            line.clear();
            assert!(
                lines.read_line(&mut line).unwrap() > 0,
                "the run ended early"
            );
        }
        (child, lines)
    }

    /// The directory of the run that was made there.
    fn only_run(runs: &Path) -> std::path::PathBuf {
        let mut entries = std::fs::read_dir(runs).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    fn signal(name: &str, pid: u32) {
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid.to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    fn finish(mut child: Child) -> (Option<i32>, String) {
        let mut text = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        (child.wait().unwrap().code(), text)
    }

    fn wait_until_ended(pids: &[u32]) {
        for _ in 0..3000 {
            if pids.iter().all(|pid| !is_alive(*pid)) {
                return;
            }
            #[allow(
                clippy::disallowed_methods,
                reason = "waits for other processes, not for tokio"
            )]
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("still alive: {pids:?}");
    }

    /// The mock and its worker.
    fn family(pid: u32) -> Vec<u32> {
        let mocks = children(pid);
        let workers: Vec<u32> = mocks.iter().flat_map(|mock| children(*mock)).collect();
        assert_eq!((mocks.len(), workers.len()), (1, 1));
        [mocks, workers].concat()
    }

    #[test]
    fn one_interrupt_ends_the_run_with_its_report() {
        let runs = tempfile::tempdir().unwrap();
        let (child, lines) = started(runs.path());
        let family = family(child.id());
        let drained =
            std::thread::spawn(move || lines.lines().map_while(Result::ok).collect::<Vec<_>>());
        signal("INT", child.id());
        let (code, text) = finish(child);
        assert_eq!(code, Some(130));
        assert!(
            text.contains("the run was interrupted") && text.contains("Pings held"),
            "{text}"
        );
        let record = std::fs::read(only_run(runs.path()).join("run.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let under_way = &record["totals"]["missing_mails"];
        assert_eq!(*under_way, serde_json::json!([]), "they are under way");
        assert!(
            drained
                .join()
                .unwrap()
                .iter()
                .any(|line| line.contains("once more to leave at once"))
        );
        wait_until_ended(&family);
    }

    #[test]
    fn two_interrupts_leave_at_once() {
        let runs = tempfile::tempdir().unwrap();
        let (child, lines) = started(runs.path());
        let family = family(child.id());
        signal("INT", child.id());
        signal("TERM", child.id());
        drop(lines);
        let (code, text) = finish(child);
        assert!(matches!(code, Some(130 | 143)), "{code:?}");
        assert!(text.is_empty(), "no report: it left at once");
        let directory = only_run(runs.path());
        let record = std::fs::read_to_string(directory.join("run.json")).unwrap();
        assert!(record.contains("\"verdict\": null"), "{record}");
        wait_until_ended(&family);
    }

    /// Who leaves at once finds in the report that he did.
    #[tokio::test]
    async fn a_signal_ends_the_look_at_a_target_that_never_answers() {
        for (name, code) in [("INT", 130), ("TERM", 143)] {
            let (report, mut reached) = tokio::sync::mpsc::unbounded_channel();
            let url = raw_server(vec![vec![Do::Read, Do::Wait(report)]]).await;
            let file = scenario(&against(&format!("http://{url}"), ""));
            let runs = tempfile::tempdir().unwrap();
            let mut command = run(file.path(), runs.path());
            let child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let _keeps_it_waiting = reached.recv().await.unwrap();
            signal(name, child.id());
            let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
            let output = output.await.unwrap();
            let text = stderr(&output);
            assert_eq!(output.status.code(), Some(code), "{text}");
            assert!(
                text.contains("error: interrupted before the load; nothing was measured"),
                "{text}"
            );
            assert!(
                std::fs::read_dir(runs.path()).unwrap().next().is_none(),
                "no run, no directory"
            );
        }
    }

    #[test]
    fn an_interrupt_is_on_record_before_the_run_has_ended() {
        let runs = tempfile::tempdir().unwrap();
        let (child, mut lines) = started(runs.path());
        let family = self::family(child.id());
        signal("INT", child.id());
        let mut line = String::new();
        while !line.contains("stopping the devices") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it has ended");
        }
        signal("KILL", child.id());
        drop(lines);
        finish(child);
        let directory = only_run(runs.path());
        let report = easload(&["report", directory.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&report.stdout).into_owned();
        assert!(
            text.contains("Verdict: INCONCLUSIVE (the run was interrupted)"),
            "{text}"
        );
        assert!(text.contains("baseline"), "{text}");
        wait_until_ended(&family);
    }

    #[test]
    fn a_killed_run_leaves_nothing_behind_but_its_measurements() {
        let runs = tempfile::tempdir().unwrap();
        let (mut child, _lines) = started(runs.path());
        let family = family(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until_ended(&family);
        let directory = only_run(runs.path());
        let output = easload(&["report", directory.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(5));
        let text = stdout(&output);
        assert!(
            text.contains("was killed") && text.contains("Pings sent"),
            "{text}"
        );
    }

    /// What is in no interval: errors, statuses, sources.
    #[test]
    fn a_killed_run_keeps_what_was_known_of_the_whole_run() {
        let mock = MockProgram::start(&["--scenario", "scenarios/healthy.toml"]);
        let passwords =
            scenario("load0001:secret\nload0002:wrong\nload0003:secret\nload0004:secret\n");
        let key = format!("password_file = {:?}", passwords.path());
        let source = format!(
            "[[observe.source]]\nformat = \"exporter\"\nurl = \"{}/metrics\"",
            mock.addresses.control
        );
        let text = against(&mock.addresses.url, &source)
            .replace("password_env = \"EASLOAD_TEST_PASSWORD\"", &key)
            .replace("\"3s\"", "\"60s\"");
        let file = scenario(&text);
        let runs = tempfile::tempdir().unwrap();
        let mut command = run(file.path(), runs.path());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let record = |directory: &Path| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(directory.join("run.json")).unwrap()).unwrap()
        };
        let mut line = String::new();
        let mut has_begun = false;
        while !has_begun || record(&only_run(runs.path()))["sources"] == serde_json::json!([]) {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it has ended");
            has_begun |= line.starts_with("run directory");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let report = easload(&["report", only_run(runs.path()).to_str().unwrap()]);
        let text = stdout(&report);
        for part in [
            "may be older than its end",
            "3 × HTTP 401",
            "stranded = Active Requests",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let (_, readings) = text.split_once("Server figures\n").unwrap();
        let readings: u32 = readings
            .split_once(" readings")
            .and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok())
            .unwrap();
        assert!(readings >= 5, "{text}");
    }

    #[test]
    fn a_killed_mock_ends_the_run_with_a_message() {
        let runs = tempfile::tempdir().unwrap();
        let (child, lines) = started(runs.path());
        let mock = family(child.id())[0];
        let drained =
            std::thread::spawn(move || lines.lines().map_while(Result::ok).collect::<Vec<_>>());
        signal("KILL", mock);
        let (code, text) = finish(child);
        assert_eq!(code, Some(5), "{text}");
        assert!(
            text.contains("the mock ended in the middle of the run")
                && text.contains("the run broke off"),
            "{text}"
        );
        drained.join().unwrap();
    }

    #[test]
    fn a_killed_worker_is_a_cost_and_no_loss() {
        let file = scenario(
            "name = \"killed-worker\"\n[mock]\nmin_heartbeat = \"1s\"\npoll_interval = \"100ms\"\n\
             [devices]\ncount = 60\nusers = 60\nheartbeat = \"5s\"\nretry = \"100ms..1s\"\nramp = \"1s\"\n\
             [mail]\nrate = 10\nlate_after = \"20s\"\n\
             [[phase]]\nkind = \"ramp\"\nduration = \"2s\"\n\
             [[phase]]\nkind = \"baseline\"\nduration = \"10s\"\n",
        );
        let runs = tempfile::tempdir().unwrap();
        let mut command = run(file.path(), runs.path());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        // Some seconds of it: on a busy machine a line may say 4 s and the next one 6 s.
        while seen.matches("s baseline ").count() < 3 {
            assert!(
                lines.read_line(&mut seen).unwrap() > 0,
                "the run ended early: {seen}"
            );
        }
        signal("KILL", family(child.id())[1]);
        let drained =
            std::thread::spawn(move || lines.lines().map_while(Result::ok).collect::<Vec<_>>());
        let (code, text) = finish(child);
        drained.join().unwrap();
        // A busy machine may have been the bottleneck, which says nothing of mail.
        assert!(matches!(code, Some(0 | 5)), "{text}");
        assert!(
            text.contains("… cut") && text.contains("closed the connection without"),
            "{text}"
        );
        assert!(
            text.contains("every accepted mail reached every device"),
            "{text}"
        );
    }
}

/// The figures of docs/performance.md come from here: each bench runs, small, and says what it saw.
#[test]
fn every_bench_runs_and_tells_its_figures() {
    let benches = [
        (
            "hold",
            "300",
            vec!["user memory per held device", "all held after"],
            "--from 100 --no-overshoot",
        ),
        (
            "hold",
            "300",
            vec!["user memory per held device"],
            "--from 100 --no-overshoot --mixed --tls",
        ),
        (
            "round-trips",
            "100",
            vec!["empty Ping round trips", "per core second"],
            "--full",
        ),
        (
            "recycle",
            "200",
            vec![
                "last of them cut",
                "connections made by the herd         200",
            ],
            "--full",
        ),
        (
            "activity",
            "20",
            vec!["of the harness's processor time"],
            "--acts 800",
        ),
    ];
    together(benches, |(what, devices, figures, more)| {
        let mut arguments = vec!["bench", what, "--devices", devices];
        arguments.extend(more.split(' '));
        let output = easload(&arguments);
        let text = stdout(&output);
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{what} {more}: {errors}");
        for figure in figures {
            assert!(text.contains(figure), "{what} {more}: {text}");
        }
    });
}
