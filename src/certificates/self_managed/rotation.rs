//! The next step of a rotation. It is pure; the time is an argument.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::authority::MakeError;
use super::clock::Moment;
use super::secret::SecretContent;
use super::state::{State, Terms};

/// An action on the Secret.
#[derive(Debug)]
pub(super) enum SecretAction {
    /// Nothing; and when a waiting time ends, if there is one.
    Wait(Option<Duration>),
    /// Nothing, because the Secret was not created by podseal.
    Refuse,
    /// Write this state, unless another replica was faster.
    Write(WriteReason, Box<State>),
}

/// Why the Secret is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WriteReason {
    /// There was no Secret, and none in memory.
    Created,
    /// It was missing, or replaced by an old copy.
    Restored,
    /// It was damaged in this way.
    Repaired(&'static str),
    /// Its certificates were not valid.
    Recovered,
    /// The leaf was about to expire, or had the wrong names.
    Renewed,
    /// A new CA was created, which must be trusted before it is used.
    Introduced,
    /// The waiting time has passed, and the new CA issued the leaf.
    Promoted,
    /// The second waiting time has passed, and the old CA was removed.
    Retired,
    /// A waiting time began or was interrupted.
    Noted,
}

impl fmt::Display for WriteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WriteReason::Created => "created the first certificate authority",
            WriteReason::Restored => {
                "restored the certificates: they were missing or replaced by older ones"
            }
            WriteReason::Repaired(damage) => {
                return write!(f, "repaired the certificates: {damage}");
            }
            WriteReason::Recovered => "replaced the certificates: they were not valid",
            WriteReason::Renewed => "renewed the serving certificate",
            WriteReason::Introduced => {
                "created the next certificate authority, to be trusted before it is used"
            }
            WriteReason::Promoted => {
                "issued the serving certificate from the next certificate authority"
            }
            WriteReason::Retired => "removed the previous certificate authority",
            WriteReason::Noted => {
                "recorded since when the configurations trust all certificate authorities"
            }
        })
    }
}

/// For how long this replica itself has seen, without interruption, that both
/// configurations trust every CA of the Secret.
///
/// The steady clock measures it. The times in the Secret come from clocks that may be
/// wrong, so a rotation also requires that this has lasted for the waiting time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trust {
    /// They do not.
    Lacking,
    /// They do, for this long.
    For(Duration),
}

/// The next action, from the Secret, the replica's memory, and the configurations.
///
/// Every replica decides this for itself. The API server accepts only one write of a
/// resource version, so only one replica succeeds.
///
/// # Errors
/// When a certificate cannot be created.
pub(super) fn next(
    held: &SecretContent,
    memory: Option<&State>,
    trust: Trust,
    terms: &Terms,
    now: Moment,
) -> Result<SecretAction, MakeError> {
    let write = |why, state| Ok(SecretAction::Write(why, Box::new(state)));
    match (held, memory) {
        (SecretContent::Absent, None) => {
            write(WriteReason::Created, State::create(terms, now.wall)?)
        }
        (SecretContent::Foreign, None) => Ok(SecretAction::Refuse),
        // Not a new CA, which no API server trusts yet.
        (SecretContent::Absent | SecretContent::Foreign, Some(memory)) => {
            write(WriteReason::Restored, memory.clone())
        }
        (SecretContent::Damaged(remains), Some(memory))
            if memory.generation >= remains.generation =>
        {
            let state = memory.clone().trusting(remains.certificates());
            write(WriteReason::Repaired(remains.damage), state)
        }
        (SecretContent::Damaged(remains), memory) => {
            let state = remains.repaired(terms, now.wall)?;
            let state = state.trusting(memory.into_iter().flat_map(State::bundle));
            write(WriteReason::Repaired(remains.damage), state)
        }
        (SecretContent::Whole { state, .. }, Some(memory))
            if state.generation < memory.generation =>
        {
            write(
                WriteReason::Restored,
                memory.clone().trusting(state.bundle()),
            )
        }
        (SecretContent::Whole { state, rotate }, _) => next_of(state, *rotate, trust, terms, now),
    }
}

fn next_of(
    state: &State,
    rotate: bool,
    trust: Trust,
    terms: &Terms,
    now: Moment,
) -> Result<SecretAction, MakeError> {
    let write = |why, state| Ok(SecretAction::Write(why, Box::new(state)));
    let (lifetimes, now) = (terms.lifetimes, now.wall);
    let next = state.next.as_ref().filter(|next| next.is_usable_at(now));
    let can_renew = state.issuer.is_usable_at(now);
    if state.is_useless_at(now) {
        let recovered = if can_renew {
            state.renewed(terms, now)?
        } else if next.is_some() {
            state.promoted(terms, now)?
        } else {
            state.introducing(terms, now)?.promoted(terms, now)?
        };
        return write(WriteReason::Recovered, recovered);
    }
    let leaf = state.leaf.certificate.not_after;
    // A leaf cannot be valid for longer than its CA.
    let lasts = (now + lifetimes.leaf).min(state.issuer.certificate.not_after) > leaf;
    let is_due = leaf <= now + lifetimes.leaf / 3 && lasts;
    if can_renew && (is_due || !state.is_named(terms)) {
        return write(WriteReason::Renewed, state.renewed(terms, now)?);
    }
    if state.next.is_some() || !state.others.is_empty() {
        return next_of_waiting(state, trust, terms, now);
    }
    let is_ending = state.issuer.certificate.not_after <= now + lifetimes.authority / 3;
    if is_ending || rotate || !can_renew {
        return write(WriteReason::Introduced, state.introducing(terms, now)?);
    }
    Ok(SecretAction::Wait(None))
}

/// A waiting time has passed if it has according to the Secret and to this replica.
/// Either alone is not enough: the Secret's time may be of a clock that jumped, and the
/// replica has seen nothing from before its start.
fn next_of_waiting(
    state: &State,
    trust: Trust,
    terms: &Terms,
    now: SystemTime,
) -> Result<SecretAction, MakeError> {
    let write = |why, state| Ok(SecretAction::Write(why, Box::new(state)));
    let overlap = terms.lifetimes.overlap;
    let (seen, since) = match (trust, state.trusted_since) {
        (Trust::Lacking, None) => return Ok(SecretAction::Wait(None)),
        (Trust::Lacking, Some(_)) => return write(WriteReason::Noted, state.noted(None)),
        // A time in the future is of a clock that was ahead.
        (Trust::For(seen), Some(since)) if since <= now => (seen, since),
        (Trust::For(_), _) => return write(WriteReason::Noted, state.noted(Some(now))),
    };
    let noted = now.duration_since(since).unwrap_or_default();
    let left = overlap.saturating_sub(seen.min(noted));
    if !left.is_zero() {
        return Ok(SecretAction::Wait(Some(left)));
    }
    match &state.next {
        Some(next) if next.is_usable_at(now) => {
            write(WriteReason::Promoted, state.promoted(terms, now)?)
        }
        Some(_) => write(WriteReason::Introduced, state.introducing(terms, now)?),
        None => write(WriteReason::Retired, state.retired()),
    }
}
