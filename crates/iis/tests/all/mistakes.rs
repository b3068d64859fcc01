//! What is said about values, names and places that are wrong.

use iis::read_pool;

use super::fixtures::{assert_mistake, file, mistake_of, mistakes, mistakes_of, read, scheduled};

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

#[test]
fn what_iis_refuses_is_noted_with_its_place() {
    let noted = |pools: &str| -> Vec<String> {
        let pool = read(pools);
        let refused = pool.refused.iter();
        refused
            .map(|refused| format!("{} {} {:?}", refused.line, refused.place, refused.kind))
            .collect()
    };
    let pools = "<applicationPoolDefaults future='1'><failure also='1' /></applicationPoolDefaults>\n\
                 <add name='P' timeToLive='1'>\n\
                 <recycling configSource='recycling.config' enabled='true'>\n\
                 <periodicRestart interval='1'>\n\
                 <schedule every='day'><add value='03:00:00' days='Mon' /><clear value='1' />\
                 <skip /></schedule>\n<times />\n</periodicRestart>\n<schedule />\n</recycling>\n\
                 <processModel configSource='x' /><memory /></add>";
    assert_eq!(
        noted(pools),
        [
            "4 applicationPoolDefaults@future Attribute",
            "4 failure@also Attribute",
            "5 add@timeToLive Attribute",
            "6 recycling@configSource ConfigSource",
            "6 recycling@enabled Attribute",
            "7 periodicRestart@interval Attribute",
            "8 schedule@every Attribute",
            "8 add@days Attribute",
            "8 clear@value Attribute",
            "8 skip Element",
            "9 times Element",
            "11 schedule Element",
            "13 processModel@configSource ConfigSource",
            "13 memory Element",
        ]
    );
    // What IIS has, and what is in elements that are not read.
    let pools = "<applicationPoolDefaults lockItem='true' /><add name='P' lockAttributes='x' \
                 CLRConfigFile='x' xmlns:x='y'><cpu future='1' /><environmentVariables><future />\
                 </environmentVariables><recycling lockElements='x'><periodicRestart><schedule>\
                 <add value='03:00:00' lockItem='true' /></schedule></periodicRestart></recycling>\
                 <processModel userName='x' /><failure orphanActionExe='x' /></add>\
                 <add name='Q' future='1'><future /></add>";
    assert_eq!(noted(pools), [""; 0]);
    let pools = scheduled(
        "<schedule>\n<add value='03:00:30' /><remove value='03:00:01' />\n<add value='04:00:00'>\
         <add value='05:00:00' /></add><clear><x /></clear></schedule>",
    );
    assert_eq!(
        noted(&format!("<pool name='P' />{pools}")),
        [
            "4 pool Element",
            "5 add@value Seconds",
            "5 remove@value Seconds",
            "6 add Element",
            "6 x Element",
        ]
    );
    // A misspelt attribute beside the right one; without the right one it is a mistake.
    let pools = scheduled("<schedule><add value='03:00:00' valu='04:00:00' /></schedule>");
    assert_eq!(noted(&pools), ["4 add@valu Attribute"]);
    let text = file("<add name='P' />")
        .replace(
            "<applicationPools>",
            "<applicationPools future='1' lockItem='true'>",
        )
        .replace(
            "<system.applicationHost>",
            "<system.applicationHost configSource='x'>",
        )
        .replace("<configuration>", "<configuration configSource='y'>");
    let pool = read_pool("a.config", text.as_bytes(), "P").unwrap();
    let places: Vec<&str> = pool.refused.iter().map(|refused| &*refused.place).collect();
    assert_eq!(
        places,
        [
            "configuration@configSource",
            "system.applicationHost@configSource",
            "applicationPools@future"
        ]
    );
    let many: String = (0..200).map(|number| format!(" a{number}='1'")).collect();
    assert_eq!(noted(&format!("<add name='P'{many} />")).len(), 100);
}
