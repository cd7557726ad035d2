//! What is left of a value when everything is taken away that a person would write: stand-ins, words, counting and
//! repetition. It judges nothing; `judge.rs` does by the length of the rest. It may take too much from a random value now
//! and then, but never so much that nothing is left of a long one.

/// What people write where a secret will be, or where it does not matter. Longer ones first.
const STAND_INS: &str = "correcthorsebatterystaple placeholder passphrase correct-horse replace-me replaceme change-me \
    change_me changeme undefined localhost password passw0rd p@ssw0rd p@ssword p4ssw0rd p4ssword pa55word pa55w0rd \
    letmein iloveyou trustno1 example redacted iamatoken insecure deadbeef cafebabe mysecret hunter2 passwd secret \
    s3cr3t s3cret secr3t qwerty asdfgh zxcvbn monkey dragon foobar foobaz sample string apikey dummy token t0k3n admin \
    guest value lorem ipsum hello world abcd xxxx test t3st fake mock demo todo none null true pass your user root here \
    bearer basic 1q2w3e4r 1qaz2wsx f00b4r";

/// Length of the stand-in that begins here, or 0.
fn stand_in(lower: &[u8]) -> usize {
    STAND_INS.split_whitespace().find(|word| lower.starts_with(word.as_bytes())).map_or(0, str::len)
}

/// The text without stand-ins; a mark stays where one was, so that the rest does not grow together.
pub(crate) fn without_stand_ins(lower: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(lower.len());
    let mut at = 0;
    while at < lower.len() {
        let word = stand_in(&lower[at..]);
        rest.push(if word > 0 { b'-' } else { lower[at] });
        at += word.max(1);
    }
    rest
}

/// What is left of a value when stand-ins, words, counting and repetition are gone.
pub(crate) fn of(value: &[u8]) -> Vec<u8> {
    let lower = value.to_ascii_lowercase();
    let mut gone = vec![false; value.len()];
    let mut at = 0;
    while at < lower.len() {
        let run = stand_in(&lower[at..]).max(counting(&lower[at..]));
        gone[at..at + run].fill(true);
        at += run.max(1);
    }
    let mut at = 0;
    while at < value.len() {
        let end = word_end(value, at);
        if end == at {
            at += 1;
            continue;
        }
        let word = &lower[at..end];
        let edge = |b: Option<&u8>| b.is_none_or(|b| !b.is_ascii_alphanumeric());
        let alone = edge(at.checked_sub(1).and_then(|p| value.get(p))) && edge(value.get(end));
        if (word.len() >= 4 && pronounceable(word)) || (alone && word.len() < 4) {
            gone[at..end].fill(true);
        }
        at = end;
    }
    value.iter().zip(gone).filter(|(_, gone)| !gone).map(|(b, _)| *b).collect()
}

/// The end of the word that begins here: letters of one case, or a capital and small ones.
fn word_end(value: &[u8], from: usize) -> usize {
    let run = |start: usize, like: fn(&u8) -> bool| start + value[start..].iter().take_while(|b| like(b)).count();
    let capitals = run(from, u8::is_ascii_uppercase);
    if capitals - from > 1 { capitals } else { run(capitals, u8::is_ascii_lowercase) }
}

/// Length of a run that counts up or down (`1234`, `abcd`) or repeats (`0000`), if it is four or longer.
fn counting(lower: &[u8]) -> usize {
    let step = |pair: &[u8]| i16::from(pair[1]) - i16::from(pair[0]);
    let mut pairs = lower.windows(2);
    let Some(first) = pairs.next().map(step).filter(|s| s.abs() <= 1) else { return 0 };
    let alike = |pair: &[u8]| step(pair) == first || (pair == b"90" && first == 1);
    let run = 2 + pairs.take_while(|pair| alike(pair)).count();
    if run >= 4 && lower[..run].iter().all(u8::is_ascii_alphanumeric) { run } else { 0 }
}

/// Which letters often follow which in English words and identifiers, `a` to `z`: counted over documentation, nine tenths
/// of all pairs.
#[rustfmt::skip]
const PAIRS: [&str; 26] = [
    "bcdgiklmnprstuvy", "aeilorsu", "aehiklortu", "adeilorsu", "acdefglmnprstvwx", "aefiloru", "aeinrs", "aeiot",
    "abcdefglmnoprstvz", "", "ei", "adeilostuy", "abeimopsu", "acdefgiknostuv", "bcdfgklmnoprstuvw", "aeiloprstuy",
    "u", "acdegilmnorstuy", "acehilopstuy", "acefhiloprstuy", "abceilmnprst", "aei", "aeir", "pt", "ps", "e",
];

/// Does it look like language? A third of its pairs may be unusual, in short words none.
fn pronounceable(word: &[u8]) -> bool {
    let index = |b: u8| usize::from(b.wrapping_sub(b'a'));
    let unusual = |pair: &&[u8]| !PAIRS.get(index(pair[0])).is_some_and(|next| next.as_bytes().contains(&pair[1]));
    let pairs = word.len().saturating_sub(1);
    word.windows(2).filter(unusual).count() * 3 < pairs.max(1)
}
