//! Each rule of the guard, one at a time.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::*;

const LIMIT: u32 = 3;
const LONG: Duration = Duration::from_secs(600);

/// As many users, each with one accepted request, and a share of a fifth.
async fn proven(users: usize, limit: u32) -> Arc<Refusals> {
    let refusals = Arc::new(Refusals::new(users, limit, 0.2));
    for user in 0..users as u32 {
        let login = login(&refusals, user, LoginKind::Answered).await;
        refusals.settle(user, login, LoginOutcome::Accepted);
    }
    refusals
}

/// A login that is admitted and written without a wait.
async fn login(refusals: &Refusals, user: u32, kind: LoginKind) -> u32 {
    let login = admitted(refusals, user, kind).await;
    refusals.written(user, login);
    login
}

async fn admitted(refusals: &Refusals, user: u32, kind: LoginKind) -> u32 {
    let began = Instant::now();
    match refusals.admit(user, kind).await {
        Admitted::Login(login) if began.elapsed().is_zero() => login,
        other => panic!("{other:?} after {:?}", began.elapsed()),
    }
}

async fn logins(refusals: &Refusals, kind: LoginKind) -> Vec<u32> {
    let mut logins = Vec::new();
    for _ in 0..LIMIT {
        logins.push(login(refusals, 0, kind).await);
    }
    logins
}

/// How long a request waits; `None` if it waits for an event.
async fn wait(refusals: &Refusals, user: u32, kind: LoginKind) -> Option<Duration> {
    let began = Instant::now();
    let admitted = timeout(LONG, refusals.admit(user, kind)).await.ok()?;
    let Admitted::Login(login) = admitted else {
        panic!("{admitted:?}");
    };
    refusals.settle(user, login, LoginOutcome::Unsent);
    Some(began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_unwritten_ones_goes_5_s_after_they_are_written() {
    let refusals = proven(1, LIMIT).await;
    let mut logins = Vec::new();
    for _ in 0..LIMIT {
        logins.push(admitted(&refusals, 0, LoginKind::HeldOnly).await);
    }
    let others = Arc::clone(&refusals);
    let waiting = tokio::spawn(async move { wait(&others, 0, LoginKind::HeldOnly).await });
    sleep(Duration::from_secs(60)).await;
    assert!(!waiting.is_finished());
    for login in logins {
        refusals.written(0, login);
    }
    let written = Duration::from_secs(60);
    assert_eq!(waiting.await.unwrap(), Some(written + DECIDED));
}

#[tokio::test(start_paused = true)]
async fn each_outcome_frees_its_place_or_not() {
    for (outcome, expected) in [
        (LoginOutcome::Accepted, Some(Duration::ZERO)),
        (LoginOutcome::Discovered, Some(Duration::ZERO)),
        (LoginOutcome::Answered, Some(Duration::ZERO)),
        (LoginOutcome::Unsent, Some(Duration::ZERO)),
        (LoginOutcome::Lost, None),
        (LoginOutcome::Refused, None),
    ] {
        for is_written in [true, false] {
            let refusals = proven(1, LIMIT).await;
            let first = admitted(&refusals, 0, LoginKind::Answered).await;
            if is_written {
                refusals.written(0, first);
            }
            refusals.settle(0, first, outcome);
            // Never written, so never decided.
            admitted(&refusals, 0, LoginKind::Answered).await;
            admitted(&refusals, 0, LoginKind::Answered).await;
            let waited = wait(&refusals, 0, LoginKind::Answered).await;
            assert_eq!(waited, expected, "{outcome:?} {is_written}");
        }
    }
}

/// Two logins are given up; the third, sent before or after that, is accepted.
#[tokio::test(start_paused = true)]
async fn lost_logins_count_until_a_request_sent_later_is_accepted() {
    for (is_later, expected) in [(true, 0), (false, 2)] {
        let refusals = proven(1, LIMIT).await;
        let mut earlier = 0;
        if !is_later {
            earlier = login(&refusals, 0, LoginKind::Answered).await;
        }
        for _ in 0..2 {
            let lost = login(&refusals, 0, LoginKind::Answered).await;
            refusals.settle(0, lost, LoginOutcome::Lost);
        }
        // No time frees their places.
        sleep(LONG).await;
        if is_later {
            earlier = login(&refusals, 0, LoginKind::Answered).await;
        }
        refusals.settle(0, earlier, LoginOutcome::Accepted);
        let count = refusals.state.lock().users[0].logins.len();
        assert_eq!(count, expected, "{is_later}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_held_for_5_s_decides_the_logins_before_it_and_clears_no_refusal() {
    let refusals = proven(1, 4).await;
    let refused = login(&refusals, 0, LoginKind::Answered).await;
    refusals.settle(0, refused, LoginOutcome::Refused);
    let before = login(&refusals, 0, LoginKind::Answered).await;
    refusals.settle(0, before, LoginOutcome::Lost);
    let held = login(&refusals, 0, LoginKind::Held).await;
    let after = login(&refusals, 0, LoginKind::Answered).await;
    refusals.settle(0, after, LoginOutcome::Lost);
    assert_eq!(wait(&refusals, 0, LoginKind::Answered).await, Some(DECIDED));
    {
        let state = refusals.state.lock();
        let user = &state.users[0];
        assert_eq!((user.refusals.len(), user.logins.len()), (1, 1));
    }
    refusals.settle(0, held, LoginOutcome::Accepted);
    assert_eq!(refusals.state.lock().users[0].refusals.len(), 0);
}

/// The answer of a request that is not held is waited for, once the user has a refusal.
#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_decided_after_5_s_unless_the_user_has_refusals() {
    for (is_refused, expected) in [(false, Some(DECIDED)), (true, None)] {
        let refusals = proven(1, LIMIT).await;
        let logins = logins(&refusals, LoginKind::Answered).await;
        if is_refused {
            refusals.settle(0, logins[0], LoginOutcome::Refused);
        }
        let waited = wait(&refusals, 0, LoginKind::Answered).await;
        assert_eq!(waited, expected, "{is_refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_login_fewer_than_the_limit_may_be_given_up() {
    for limit in 1..=5 {
        let refusals = proven(1, limit).await;
        let mut may = 0;
        for _ in 0..limit {
            let login = login(&refusals, 0, LoginKind::HeldOnly).await;
            let first = refusals.may_give_up(0, login);
            // Asked again, the answer is the same.
            assert_eq!(refusals.may_give_up(0, login), first);
            may += u32::from(first);
        }
        assert_eq!(may, limit - 1, "{limit}");
        sleep(DECIDED).await;
        // All are decided now.
        assert_eq!(
            wait(&refusals, 0, LoginKind::HeldOnly).await,
            Some(Duration::ZERO)
        );
        assert!(refusals.may_give_up(0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_leaves_fewer_logins_to_give_up() {
    let refusals = proven(1, LIMIT).await;
    let logins = logins(&refusals, LoginKind::HeldOnly).await;
    refusals.settle(0, logins[0], LoginOutcome::Refused);
    assert!(refusals.may_give_up(0, logins[1]));
    assert!(!refusals.may_give_up(0, logins[2]));
}

/// The last place is for a request that is answered immediately, and that one decides the others.
#[tokio::test(start_paused = true)]
async fn a_request_to_be_held_leaves_the_last_place_to_one_that_proves() {
    let refusals = proven(1, LIMIT).await;
    for _ in 0..LIMIT - 1 {
        let login = login(&refusals, 0, LoginKind::Held).await;
        assert!(refusals.may_give_up(0, login));
    }
    assert_eq!(
        refusals.admit(0, LoginKind::Held).await,
        Admitted::ProveFirst
    );
    // Another request to be held waits for the proof, and a request that is answered does not wait for it.
    let others = Arc::clone(&refusals);
    let waiting = tokio::spawn(async move { wait(&others, 0, LoginKind::Held).await });
    sleep(Duration::from_secs(1)).await;
    let proof = login(&refusals, 0, LoginKind::Answered).await;
    sleep(Duration::from_secs(1)).await;
    refusals.settle(0, proof, LoginOutcome::Accepted);
    assert_eq!(waiting.await.unwrap(), Some(Duration::from_secs(2)));
    assert_eq!(refusals.state.lock().users[0].logins.len(), 0);
}

/// A request that cannot be preceded by another, and users that are new, in doubt or limited to one login.
#[tokio::test(start_paused = true)]
async fn a_request_is_proven_first_only_where_that_helps() {
    for kind in [LoginKind::Held, LoginKind::HeldOnly] {
        let refusals = proven(1, LIMIT).await;
        for _ in 0..LIMIT {
            let login = login(&refusals, 0, kind).await;
            if kind == LoginKind::HeldOnly {
                refusals.may_give_up(0, login);
            }
        }
    }
    let refusals = proven(1, 1).await;
    login(&refusals, 0, LoginKind::Held).await;
    assert_eq!(wait(&refusals, 0, LoginKind::Held).await, Some(DECIDED));
    let refusals = proven(1, LIMIT).await;
    for _ in 0..LIMIT - 1 {
        let login = login(&refusals, 0, LoginKind::Answered).await;
        refusals.settle(0, login, LoginOutcome::Refused);
    }
    login(&refusals, 0, LoginKind::Held).await;
}

/// A device that was told to prove the logins and never does keeps the others waiting for 5 s.
#[tokio::test(start_paused = true)]
async fn a_proof_that_never_comes_is_asked_of_the_next_device() {
    let refusals = proven(1, LIMIT).await;
    for _ in 0..LIMIT - 1 {
        // Never written, so never decided.
        let login = admitted(&refusals, 0, LoginKind::Held).await;
        assert!(refusals.may_give_up(0, login));
    }
    assert_eq!(
        refusals.admit(0, LoginKind::Held).await,
        Admitted::ProveFirst
    );
    let began = Instant::now();
    assert_eq!(
        refusals.admit(0, LoginKind::Held).await,
        Admitted::ProveFirst
    );
    assert_eq!(began.elapsed(), DECIDED);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_stops_a_user_whose_other_logins_were_all_lost() {
    for (lost, is_stopped) in [(2, true), (1, false)] {
        let refusals = proven(1, LIMIT).await;
        let logins = logins(&refusals, LoginKind::Answered).await;
        for login in &logins[..lost] {
            refusals.settle(0, *login, LoginOutcome::Lost);
        }
        refusals.settle(0, logins[2], LoginOutcome::Refused);
        assert_eq!(refusals.is_stopped(0), is_stopped, "{lost}");
    }
    // As long as one is under way, it may be accepted.
    let refusals = proven(1, LIMIT).await;
    let logins = logins(&refusals, LoginKind::Answered).await;
    refusals.settle(0, logins[0], LoginOutcome::Refused);
    refusals.settle(0, logins[1], LoginOutcome::Lost);
    assert!(!refusals.is_stopped(0));
    refusals.settle(0, logins[2], LoginOutcome::Lost);
    assert!(refusals.is_stopped(0));
}

#[tokio::test(start_paused = true)]
async fn one_login_at_a_time_follows_when_all_were_lost() {
    let refusals = proven(1, LIMIT).await;
    for login in logins(&refusals, LoginKind::Answered).await {
        refusals.settle(0, login, LoginOutcome::Lost);
    }
    for _ in 0..3 {
        let began = Instant::now();
        let Admitted::Login(next) = refusals.admit(0, LoginKind::Answered).await else {
            panic!("stopped");
        };
        assert_eq!(began.elapsed(), DECIDED);
        refusals.written(0, next);
        // A second one waits for its end.
        let second = timeout(
            Duration::from_secs(1),
            refusals.admit(0, LoginKind::Answered),
        );
        assert!(second.await.is_err());
        refusals.settle(0, next, LoginOutcome::Lost);
    }
    // Refused at last, the user is stopped.
    let Admitted::Login(next) = refusals.admit(0, LoginKind::Answered).await else {
        panic!("stopped");
    };
    refusals.settle(0, next, LoginOutcome::Refused);
    assert!(refusals.is_stopped(0));
}

async fn refuse(refusals: &Refusals, user: u32) {
    let login = login(refusals, user, LoginKind::Answered).await;
    refusals.settle(user, login, LoginOutcome::Refused);
}

async fn is_admitted(refusals: &Refusals, user: u32) -> bool {
    let soon = Duration::from_secs(1);
    match timeout(soon, refusals.admit(user, LoginKind::Answered)).await {
        Ok(Admitted::Login(login)) => {
            refusals.settle(user, login, LoginOutcome::Unsent);
            true
        }
        _ => false,
    }
}

/// 20 users, of whom a fifth may be refused.
#[tokio::test(start_paused = true)]
async fn users_without_refusals_wait_while_a_fifth_has_some() {
    let refusals = proven(20, LIMIT).await;
    for user in 0..3 {
        refuse(&refusals, user).await;
    }
    assert!(is_admitted(&refusals, 10).await);
    refuse(&refusals, 3).await;
    assert!(!is_admitted(&refusals, 10).await);
    let others = Arc::clone(&refusals);
    let waiting = tokio::spawn(async move { wait(&others, 10, LoginKind::Answered).await });
    sleep(Duration::from_secs(7)).await;
    let login = login(&refusals, 2, LoginKind::Answered).await;
    refusals.settle(2, login, LoginOutcome::Accepted);
    assert_eq!(waiting.await.unwrap(), Some(Duration::from_secs(7)));
}

/// Logins of seven users are under way and all are refused: four of these users go on.
#[tokio::test(start_paused = true)]
async fn of_all_users_with_refusals_only_a_fifth_of_the_users_go_on() {
    let refusals = proven(20, LIMIT).await;
    let mut under_way = Vec::new();
    for user in 0..7 {
        under_way.push((user, login(&refusals, user, LoginKind::Answered).await));
    }
    for (user, login) in under_way {
        refusals.settle(user, login, LoginOutcome::Refused);
    }
    for user in [6, 2, 0, 5] {
        refuse(&refusals, user).await;
    }
    for user in [1, 3, 4, 19] {
        assert!(!is_admitted(&refusals, user).await, "{user}");
    }
    for user in [6, 2, 0, 5] {
        assert!(!refusals.are_all_stopped());
        refuse(&refusals, user).await;
    }
    assert_eq!(refusals.stopped(), [0, 2, 5, 6]);
    assert!(refusals.are_all_stopped());
    assert_eq!(
        refusals.admit(3, LoginKind::Answered).await,
        Admitted::Stopped
    );
}

/// One that is accepted again leaves its place to the next that waits.
#[tokio::test(start_paused = true)]
async fn places_of_users_with_refusals_are_handed_on() {
    let refusals = proven(20, LIMIT).await;
    let mut under_way = Vec::new();
    for user in 0..20 {
        under_way.push((user, login(&refusals, user, LoginKind::Answered).await));
    }
    for (user, login) in under_way {
        refusals.settle(user, login, LoginOutcome::Refused);
    }
    // All devices come back after the failure of a directory.
    let tasks: Vec<_> = (0..20)
        .map(|user| {
            let refusals = Arc::clone(&refusals);
            tokio::spawn(async move {
                let Admitted::Login(login) = refusals.admit(user, LoginKind::Answered).await else {
                    panic!("stopped");
                };
                sleep(Duration::from_secs(1)).await;
                refusals.settle(user, login, LoginOutcome::Accepted);
            })
        })
        .collect();
    let began = Instant::now();
    for task in tasks {
        timeout(LONG, task).await.expect("it is woken").unwrap();
    }
    // Four at a time; the last four are four users of which none has refusals any more but these.
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_lost_first_login_keeps_its_place_among_the_users_that_may_be_refused() {
    let refusals = Refusals::new(20, LIMIT, 0.2);
    for user in 0..4 {
        let login = login(&refusals, user, LoginKind::Answered).await;
        refusals.settle(user, login, LoginOutcome::Lost);
    }
    assert!(!is_admitted(&refusals, 4).await);
    let again = login(&refusals, 0, LoginKind::Answered).await;
    refusals.settle(0, again, LoginOutcome::Accepted);
    assert!(is_admitted(&refusals, 4).await);
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A settled login wakes the request of its user that waits first, and no other.
#[tokio::test(start_paused = true)]
async fn only_the_request_that_can_go_is_woken() {
    const USERS: u32 = 200;
    let refusals = proven(USERS as usize, LIMIT).await;
    let mut under_way = Vec::new();
    for user in 0..USERS {
        for _ in 0..LIMIT {
            under_way.push((user, admitted(&refusals, user, LoginKind::Answered).await));
        }
    }
    // Two requests of each user wait.
    let mut waiting: Vec<_> = (0..USERS)
        .flat_map(|user| [user, user])
        .map(|user| Box::pin(refusals.admit(user, LoginKind::Answered)))
        .collect();
    let wakes: Vec<Arc<Wakes>> = waiting.iter().map(|_| Arc::default()).collect();
    for (request, wakes) in waiting.iter_mut().zip(&wakes) {
        let waker = Waker::from(Arc::clone(wakes));
        let polled = request.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    let (user, login) = under_way[300];
    assert_eq!(user, 100);
    refusals.settle(user, login, LoginOutcome::Accepted);
    let woken = || -> Vec<usize> {
        let counts = wakes.iter().enumerate();
        let woken = counts.filter(|(_, wakes)| wakes.0.load(Ordering::Relaxed) > 0);
        woken.map(|(index, _)| index).collect()
    };
    assert_eq!(woken(), [200]);
    // The next one is woken by the first one, because there is room for both.
    let next = (under_way[301].1, under_way[302].1);
    refusals.settle(100, next.0, LoginOutcome::Accepted);
    let waker = Waker::noop();
    let first = waiting[200].as_mut().poll(&mut Context::from_waker(waker));
    assert!(matches!(first, Poll::Ready(Admitted::Login(_))));
    assert_eq!(woken(), [200, 201]);
    let mut last = pin!(std::mem::replace(
        &mut waiting[201],
        Box::pin(refusals.admit(0, LoginKind::Answered))
    ));
    let second = last.as_mut().poll(&mut Context::from_waker(waker));
    assert!(matches!(second, Poll::Ready(Admitted::Login(_))));
    refusals.settle(100, next.1, LoginOutcome::Accepted);
    assert_eq!(woken(), [200, 201]);
}
