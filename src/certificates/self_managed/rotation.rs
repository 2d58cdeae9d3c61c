//! What to do next: pure, with the clock an argument.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::authority::MakeError;
use super::clock::Moment;
use super::secret::SecretContent;
use super::state::{State, Terms};

/// What to do with the Secret.
#[derive(Debug)]
pub(super) enum SecretAction {
    /// Nothing, and if something waits for time to pass, for how long.
    Wait(Option<Duration>),
    /// Nothing, since the Secret is not podseal's.
    Refuse,
    /// Write this, if no other replica was faster.
    Write(WriteReason, Box<State>),
}

/// Why the Secret is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WriteReason {
    /// There was none anywhere.
    Created,
    /// It was gone, or an old copy took its place.
    Restored,
    /// It was damaged, in this way.
    Mended(&'static str),
    /// What it held was of no use at this time.
    Recovered,
    /// The leaf was about to expire, or its names were not those wanted.
    Renewed,
    /// There is a new authority, to be trusted before it is used.
    Introduced,
    /// Its waiting time is over, and the leaf is of the new authority.
    Promoted,
    /// The second waiting time is over, and the old authority is gone.
    Retired,
    /// When a waiting time began, or that it was interrupted.
    Noted,
}

impl fmt::Display for WriteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WriteReason::Created => "created the first certificate authority",
            WriteReason::Restored => {
                "restored the certificates: they were missing or replaced by older ones"
            }
            WriteReason::Mended(damage) => return write!(f, "repaired the certificates: {damage}"),
            WriteReason::Recovered => {
                "replaced the certificates: the present ones are not valid now"
            }
            WriteReason::Renewed => "renewed the serving certificate",
            WriteReason::Introduced => {
                "created the next certificate authority, to be trusted before it is used"
            }
            WriteReason::Promoted => {
                "issued the serving certificate from the next certificate authority"
            }
            WriteReason::Retired => "removed the previous certificate authority",
            WriteReason::Noted => "recorded since when the configurations trust all authorities",
        })
    }
}

/// For how long one replica has seen, itself and without a break, that both
/// configurations trust every authority of the Secret.
///
/// The steady clock measures it: whatever the Secret says by a clock that may
/// be wrong, nothing moves on before this has lasted for the waiting time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trust {
    /// They do not, as of now.
    Lacking,
    /// They do, for this long.
    For(Duration),
}

/// What to do next, given the Secret, what this replica holds in memory, and
/// how the configurations look.
///
/// Every replica asks this for itself; that only one of them gets its way is
/// the API server's doing, which takes one write of one version.
///
/// # Errors
/// When a certificate cannot be made.
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
        // Not a new authority: no API server trusts it yet.
        (SecretContent::Absent | SecretContent::Foreign, Some(memory)) => {
            write(WriteReason::Restored, memory.clone())
        }
        (SecretContent::Damaged(remains), Some(memory))
            if memory.generation >= remains.generation =>
        {
            let state = memory.clone().trusting(remains.certificates());
            write(WriteReason::Mended(remains.damage), state)
        }
        (SecretContent::Damaged(remains), memory) => {
            let state = remains.mended(terms, now.wall)?;
            let state = state.trusting(memory.into_iter().flat_map(State::bundle));
            write(WriteReason::Mended(remains.damage), state)
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
    // A leaf that ends with its authority cannot be made to last longer.
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

/// A waiting time has passed when the Secret says so, and when this replica
/// has seen as much. Either alone can be wrong: the Secret's by a clock that
/// jumped, the replica's since it knows nothing of what is before its start.
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
        // A note from the future is of a clock that was ahead.
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
