//! Small configurations, and what is said about them.

use iis::{Pool, read_pool};

/// Nightly recycling and a ceiling of 6 GiB, with every attribute that is read.
pub(super) const FULL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<configuration>
  <system.applicationHost>
    <applicationPools>
      <add name="MSExchangeSyncAppPool" queueLength="65535" startMode="alwaysrunning" autoStart="FALSE">
        <processModel idleTimeout="00:00:00" idleTimeoutAction="suspend" maxProcesses="0"
                      pingingEnabled="False" pingInterval="00:00:10" pingResponseTime="00:00:20"
                      shutdownTimeLimit="00:01:31" startupTimeLimit="00:01:32" />
        <recycling disallowOverlappingRotation="True" disallowRotationOnConfigChange="true"
                   logEventOnRecycle="Time,  Requests ,privatememory">
          <periodicRestart time="1.05:00:00" requests="10" memory="4294967295" privateMemory="6291456">
            <schedule>
              <clear />
              <add value="15:00:00" />
              <add value="03:00:00" />
            </schedule>
          </periodicRestart>
        </recycling>
        <failure rapidFailProtection="false" rapidFailProtectionMaxCrashes="7"
                 rapidFailProtectionInterval="00:06:00" loadBalancerCapabilities="tcplevel" />
      </add>
    </applicationPools>
  </system.applicationHost>
</configuration>
"#;

/// Line 4 is the first of the pools.
pub(super) fn file(pools: &str) -> String {
    format!(
        "<configuration>\n<system.applicationHost>\n<applicationPools>\n{pools}\n\
         </applicationPools>\n</system.applicationHost>\n</configuration>\n"
    )
}

pub(super) fn read(pools: &str) -> Pool {
    read_pool("a.config", file(pools).as_bytes(), "P").unwrap()
}

/// A pool whose periodicRestart has these children.
pub(super) fn scheduled(schedule: &str) -> String {
    format!(
        "<add name='P'><recycling><periodicRestart>{schedule}</periodicRestart></recycling></add>"
    )
}

pub(super) fn mistakes(bytes: &[u8], pool: &str) -> Vec<String> {
    let error = read_pool("a.config", bytes, pool).unwrap_err();
    assert!(!error.problems().is_empty());
    error.to_string().lines().map(str::to_owned).collect()
}

pub(super) fn mistakes_of(pools: &str) -> Vec<String> {
    mistakes(file(pools).as_bytes(), "P")
}

/// The one mistake of a file.
#[track_caller]
pub(super) fn mistake_of(pools: &str) -> String {
    let mut all = mistakes_of(pools);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

#[track_caller]
pub(super) fn assert_mistake(pools: &str, expected: &str) {
    let mistake = mistake_of(pools);
    assert!(mistake.contains(expected), "{mistake}");
}

pub(super) fn utf_16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(order).collect()
}
