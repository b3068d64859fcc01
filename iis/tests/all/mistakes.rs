//! What is said about values, names and places that are wrong.

use super::fixtures::{assert_mistake, mistake_of, mistakes, mistakes_of, read, scheduled};

#[test]
fn a_schedule_with_mistakes_is_refused() {
    let twice = "<schedule>\n<add value='03:00:00' />\n<add value='3:00:00' /></schedule>";
    assert_eq!(
        mistake_of(&scheduled(twice)),
        "a.config:6:6: add@value: 03:00:00 is on line 5 and again on line 6; expected it once"
    );
    for value in [
        "24:00:00",
        "1.03:00:00",
        "03:00",
        "3am",
        "",
        "-01:00:00",
        "03:60:00",
    ] {
        let schedule = format!("<schedule><add value='{value}' /></schedule>");
        let expected = "add@value: expected a time of day from 00:00:00 to 23:59:59, found `";
        assert_mistake(&scheduled(&schedule), expected);
    }
    for (schedule, expected) in [
        ("<schedule><add /></schedule>", "add@value: is missing"),
        (
            "<schedule><add Value='03:00:00' /></schedule>",
            "add@Value: is unknown to IIS; did you",
        ),
        (
            "<schedule><clera /></schedule>",
            "clera: is unknown to IIS; did you mean `clear`?",
        ),
        (
            "<shedule />",
            "shedule: is unknown to IIS; did you mean `schedule`?",
        ),
    ] {
        assert_mistake(&scheduled(schedule), expected);
    }
}

#[test]
fn values_out_of_bounds_are_refused() {
    let span = "expected a time span hh:mm:ss or d.hh:mm:ss";
    let uint = "expected a whole number from 0 to 4294967295, found `";
    let flag = "expected true or false, found `";
    let reasons = "expected a comma list of Time, Requests, Schedule, Memory, IsapiUnhealthy, \
                   OnDemand, ConfigChange, PrivateMemory, found `";
    for (element, attribute, values, expected) in [
        (
            "periodicRestart",
            "time",
            vec!["29", "29:00", "1.24:00:00", ".01:00:00", "1.:00:00"],
            span,
        ),
        (
            "periodicRestart",
            "time",
            vec!["00:60:00", "0:0:0", "+1:00:00", "10675200.00:00:00"],
            span,
        ),
        (
            "periodicRestart",
            "time",
            vec!["99999999999999999999.00:00:00", "1d", " 01:00:00"],
            span,
        ),
        (
            "periodicRestart",
            "time",
            vec!["00:00:30"],
            "expected a time span of whole minutes",
        ),
        (
            "periodicRestart",
            "requests",
            vec!["-1", "+1", "", "4294967296", "1e3", "0x10", " 1"],
            uint,
        ),
        (
            "periodicRestart",
            "memory",
            vec!["4294967296", "6GiB"],
            uint,
        ),
        ("periodicRestart", "privateMemory", vec!["1.5"], uint),
        ("processModel", "maxProcesses", vec!["-1"], uint),
        ("processModel", "pingingEnabled", vec!["1", "yes", ""], flag),
        (
            "processModel",
            "idleTimeoutAction",
            vec!["Sleep"],
            "expected Terminate or Suspend, found",
        ),
        ("processModel", "shutdownTimeLimit", vec!["90"], span),
        (
            "recycling",
            "disallowOverlappingRotation",
            vec!["tru"],
            flag,
        ),
        (
            "recycling",
            "logEventOnRecycle",
            vec!["Times", "Time,,Memory", "Time;Memory"],
            reasons,
        ),
        (
            "failure",
            "rapidFailProtectionMaxCrashes",
            vec!["0"],
            "number from 1 to 2147483647",
        ),
        (
            "failure",
            "loadBalancerCapabilities",
            vec!["2"],
            "expected HttpLevel or TcpLevel, found",
        ),
    ] {
        for value in values {
            let written = format!("<{element} {attribute}='{value}' />");
            let written = if element == "periodicRestart" {
                format!("<recycling>{written}</recycling>")
            } else {
                written
            };
            let mistake = mistake_of(&format!("<add name='P'>{written}</add>"));
            assert!(
                mistake.contains(&format!("{element}@{attribute}: ")) && mistake.contains(expected),
                "{mistake}"
            );
        }
    }
    for value in ["9", "65536", "many"] {
        let expected =
            format!("add@queueLength: expected a whole number from 10 to 65535, found `{value}`");
        assert_mistake(
            &format!("<add name='P' queueLength='{value}' />"),
            &expected,
        );
    }
    assert_mistake(
        "<add name='P' startMode='' />",
        "add@startMode: expected OnDemand or AlwaysRunning, found ``",
    );
}

#[test]
fn every_mistake_is_told_in_the_order_of_the_file() {
    let pools = "<add name='Other' queueLength='1' />\n\
                 <add name='P' queueLength='1'\n  startMode='never'>\n\
                 <recycling>\n\t<periodicRestart  requests = 'x' memory='y'/>\n</recycling>\n\
                 <failure rapidFailProtection='maybe' />\n\
                 </add>\n\
                 <applicationPoolDefaults autoStart='ü' startMode='&#10;' />";
    assert_eq!(
        mistakes_of(pools),
        [
            "a.config:5:15: add@queueLength: expected a whole number from 10 to 65535, found `1`",
            "a.config:6:3: add@startMode: expected OnDemand or AlwaysRunning, found `never`",
            "a.config:8:20: periodicRestart@requests: expected a whole number from 0 to \
             4294967295, found `x`",
            "a.config:8:35: periodicRestart@memory: expected a whole number from 0 to 4294967295, \
             found `y`",
            "a.config:10:10: failure@rapidFailProtection: expected true or false, found `maybe`",
            "a.config:12:26: applicationPoolDefaults@autoStart: expected true or false, found `ü`",
            "a.config:12:40: applicationPoolDefaults@startMode: expected OnDemand or \
             AlwaysRunning, found `\\n`",
        ]
    );
}

#[test]
fn other_settings_of_iis_are_ignored_and_misspelt_ones_are_not() {
    let pools = "<add name='P' CLRConfigFile='x' managedPipelineMode='Classic' future='1'>\
                 <cpu limit='x' /><environmentVariables><add name='queueLength' /></environmentVariables>\
                 <processModel identityType='LocalSystem' password='x' logEventOnProcessModel='' />\
                 <failure orphanWorkerProcess='x' /><future><recycling time='x' /></future></add>";
    assert_eq!(read(pools).settings.queue_length, 1000);
    for (pools, expected) in [
        (
            "<add name='P' queuelength='5' />",
            "add@queuelength: is unknown to IIS; did you mean `queueLength`?",
        ),
        (
            "<add name='P' QUEUELENGTH='5' />",
            "did you mean `queueLength`?",
        ),
        (
            "<add Name='P' />",
            "add@Name: is unknown to IIS; did you mean `name`?",
        ),
        ("<add />", "a.config:4:2: add@name: is missing"),
        (
            "<add name='P'><proccessModel /></add>",
            "proccessModel: is unknown to IIS; did you mean `processModel`?",
        ),
        (
            "<add name='P'><processModel idleTimeOut='' /></add>",
            "did you mean `idleTimeout`?",
        ),
        (
            "<add name='P' /><applicationPoolDefault />",
            "did you mean `applicationPoolDefaults`?",
        ),
        (
            "<add name='P'><recycling><periodicRestart privateMemmory='1' /></recycling></add>",
            "periodicRestart@privateMemmory: is unknown to IIS; did you mean `privateMemory`?",
        ),
    ] {
        assert_mistake(pools, expected);
    }
}

#[test]
fn what_is_there_twice_is_a_mistake() {
    for (pools, expected) in [
        (
            "<add name='P' />\n<add name='p' />",
            "a.config:5:6: add@name: `p` is on line 4 and again on line 5; expected it once",
        ),
        (
            "<add name='P'><failure />\n<failure /></add>",
            "a.config:5:2: failure: is on line 4 and again on line 5; expected it once",
        ),
        (
            "<applicationPoolDefaults /><add name='P' />\n<applicationPoolDefaults />",
            "applicationPoolDefaults: is on line 4 and again on line 5; expected it once",
        ),
        (
            "<add name='P' /></applicationPools><applicationPools>",
            "applicationPools: is on line 3 and again on line 4; expected it once",
        ),
    ] {
        assert_mistake(pools, expected);
    }
}

#[test]
fn a_pool_that_is_not_there_lists_those_that_are() {
    assert_eq!(
        mistake_of("<add name='B' />\n<add name='a' queueLength='1' />"),
        "a.config:3:2: applicationPools: has no pool `P`; expected one of `a`, `B`"
    );
    assert_mistake("", "applicationPools: has no pool `P`; there is none");
}

#[test]
fn other_files_are_told_apart() {
    let root = "is not an IIS configuration; expected the root element <configuration>";
    let pools = "expected <applicationPools> in <system.applicationHost>";
    for (text, expected) in [
        ("", root),
        ("hello", root),
        ("<?xml version='1.0'?><!-- x -->", root),
        ("<html><configuration /></html>", root),
        ("<configuration />", pools),
        (
            "<configuration><system.applicationHost /></configuration>",
            pools,
        ),
        ("<configuration><applicationPools /></configuration>", pools),
    ] {
        let all = mistakes(text.as_bytes(), "P");
        assert!(
            all.len() == 1 && all[0].contains(expected),
            "{text}: {all:?}"
        );
    }
}

#[test]
fn pools_that_are_elsewhere_are_not_guessed() {
    let host = |inner: &str| {
        format!(
            "<configuration><system.applicationHost>{inner}</system.applicationHost></configuration>"
        )
    };
    let located = "<configuration><location path='.'><system.applicationHost><applicationPools>\
                   <add name='P' /></applicationPools></system.applicationHost></location>\
                   </configuration>";
    for (text, expected) in [
        (
            host("<applicationPools configSource='pools.config' />"),
            "applicationPools@configSource: is kept in another file (`pools.config`) and cannot",
        ),
        (
            host(
                "<applicationPools configProtectionProvider='Rsa'><EncryptedData /></applicationPools>",
            ),
            "applicationPools@configProtectionProvider: is encrypted (`Rsa`) and cannot be read",
        ),
        (
            host("<applicationPools><EncryptedData /></applicationPools>"),
            "EncryptedData: is encrypted and cannot be read",
        ),
        (
            host("<EncryptedData />"),
            "EncryptedData: is encrypted and cannot be read",
        ),
        (
            located.to_owned(),
            "applicationPools: stands in a <location> and cannot be read",
        ),
    ] {
        let all = mistakes(text.as_bytes(), "P");
        assert!(
            all.len() == 1 && all[0].contains(expected),
            "{text}: {all:?}"
        );
    }
}
