//! What tokens cost. A table of our own, with its date: what a program says of its costs is its own estimate. A model that is
//! not in it is never cheap: it costs what the dearest row costs.
//!
//! Sources: Anthropic's rows after platform.claude.com/docs/en/about-claude/pricing as search engines showed it, and after what
//! Claude Code 2.1.332 counts itself; OpenAI's rows after pages of others that quote developers.openai.com/api/docs/pricing.
//! All of them in November 2026, and none of them compared with an invoice. Prices of Amazon Bedrock and Google Cloud are taken to be Anthropic's; regional
//! endpoints there cost 10 % more, which is added wherever the region is not said to be `global`.

use crate::usage::Tokens;

/// Day of the table, as shown to people.
pub const DATE: &str = "2026-11-30";

/// One row: millionths of a US dollar for a million tokens, so one of them is a picodollar a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Input that was not in a cache.
    pub input: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written into a cache for five minutes.
    pub cache_write: u64,
    /// Input written into a cache for an hour.
    pub cache_write_1h: u64,
    /// Output, thinking included.
    pub output: u64,
    /// From this many input tokens on the whole request costs more; 0: it never does.
    long_from: u64,
    /// Then input costs this many per cent, output that many.
    long: (u64, u64),
}

/// US dollars for a million tokens, in cents: input, cache read in tenths of a cent, output.
const fn row(input_cents: u64, read_tenths: u64, output_cents: u64) -> Price {
    let input = input_cents * 10_000;
    Price {
        input,
        cache_read: read_tenths * 1_000,
        cache_write: input / 4 * 5,
        cache_write_1h: input * 2,
        output: output_cents * 10_000,
        long_from: 0,
        long: (100, 100),
    }
}

const fn long(price: Price, from: u64, input: u64, output: u64) -> Price {
    Price { long_from: from, long: (input, output), ..price }
}

/// Beginnings of names, the longest that fits counts.
const TABLE: &[(&str, Price)] = &[
    ("claude-fable-5-2", row(800, 800, 4_000)),
    ("claude-fable-5-1", row(1_000, 250, 5_000)),
    ("claude-mythos-5-1", row(1_000, 250, 5_000)),
    ("claude-fable-5", row(1_000, 1_000, 5_000)),
    ("claude-mythos-5", row(1_000, 1_000, 5_000)),
    ("claude-opus-5-5", row(400, 200, 2_000)),
    ("claude-opus-5", row(500, 500, 2_500)),
    ("claude-opus-4-8", row(500, 500, 2_500)),
    ("claude-opus-4-7", row(500, 500, 2_500)),
    ("claude-opus-4-6", row(500, 500, 2_500)),
    ("claude-opus-4-5", row(500, 500, 2_500)),
    ("claude-opus-4-1", row(1_500, 1_500, 7_500)),
    ("claude-opus-4", row(1_500, 1_500, 7_500)),
    ("claude-3-opus", row(1_500, 1_500, 7_500)),
    ("claude-sonnet-5-5", row(200, 100, 1_000)),
    ("claude-sonnet-5", row(200, 200, 1_000)),
    // Beyond 200,000 tokens only those with the larger context answer, at a higher price.
    ("claude-sonnet-4-6", long(row(300, 300, 1_500), 200_001, 200, 150)),
    ("claude-sonnet-4-5", long(row(300, 300, 1_500), 200_001, 200, 150)),
    ("claude-sonnet-4", long(row(300, 300, 1_500), 200_001, 200, 150)),
    ("claude-3-7-sonnet", row(300, 300, 1_500)),
    ("claude-3-5-sonnet", row(300, 300, 1_500)),
    ("claude-haiku-5-5", long(row(10, 10, 50), 100_001, 500, 500)),
    ("claude-haiku-4-5", row(100, 100, 500)),
    ("claude-3-5-haiku", row(80, 80, 400)),
    ("gpt-6-astra", long(row(1_000, 1_000, 5_000), 272_001, 200, 150)),
    ("gpt-6.1-sol", long(row(200, 100, 1_000), 272_001, 200, 150)),
    ("gpt-6-sol", long(row(200, 200, 1_000), 272_001, 200, 150)),
    ("gpt-6-luna", long(row(10, 10, 50), 272_001, 200, 150)),
    ("gpt-5.6-terra", long(row(200, 200, 1_200), 272_001, 200, 150)),
    ("gpt-5.6-luna", long(row(20, 20, 120), 272_001, 200, 150)),
    ("gpt-5.6", long(row(500, 500, 3_000), 272_001, 200, 150)),
    ("gpt-5.5-pro", long(row(3_000, 3_000, 18_000), 272_001, 200, 150)),
    ("gpt-5.5", long(row(500, 500, 3_000), 272_001, 200, 150)),
    ("gpt-5.4-pro", long(row(3_000, 3_000, 18_000), 272_001, 200, 150)),
    ("gpt-5.4-mini", row(75, 75, 450)),
    ("gpt-5.4-nano", row(20, 20, 125)),
    ("gpt-5.4", long(row(250, 250, 1_500), 272_001, 200, 150)),
    ("gpt-5.3-codex", row(175, 175, 1_400)),
    ("gpt-5.2-codex", row(175, 175, 1_400)),
    ("gpt-5.1-codex", row(125, 125, 1_000)),
    ("gpt-5-codex", row(125, 125, 1_000)),
];

/// What is not known costs the most that any row does, beyond any threshold; a mode that is not in the table too. Fast
/// answers of Anthropic's larger models cost up to 30 and 150 USD.
const DEAREST: Price = row(6_000, 6_000, 27_000);

/// One search of Anthropic's web search tool, millionths of a US dollar.
const SEARCH: u64 = 10_000;

/// What a request asks for beside its model, as far as it changes the price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// An answer that is faster, or comes first.
    pub fast: bool,
    /// In a region of its own: 10 % more.
    pub regional: bool,
}

/// The row of a model, and whether it is in the table.
pub fn price(model: &str, terms: Terms) -> (Price, bool) {
    let name = plain(model);
    let fits = |begins: &str| {
        name.strip_prefix(begins).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.'))
    };
    let found = TABLE.iter().filter(|(begins, _)| fits(begins)).max_by_key(|(begins, _)| begins.len());
    match found {
        // `claude-opus-5-9` is not `claude-opus-5`, `claude-opus-5-20261201` is.
        Some((begins, price)) if !terms.fast && is_edition(&name[begins.len()..]) => (*price, true),
        _ => (DEAREST, false),
    }
}

/// What follows a model's name and leaves it the same model: nothing, a date, a version of the service's own.
fn is_edition(rest: &str) -> bool {
    let parts = rest.split(['-', '@', ':']).filter(|p| !p.is_empty());
    parts.into_iter().all(|part| {
        let digits = part.strip_prefix('v').unwrap_or(part);
        part == "latest"
            || part == "max"
            || digits.chars().all(|c| c.is_ascii_digit()) && (part != digits || 4 <= digits.len() || digits == "0")
    })
}

/// `eu.anthropic.claude-sonnet-5-v1:0` and `anthropic/claude-sonnet-5[1m]` are `claude-sonnet-5`.
fn plain(model: &str) -> String {
    let model = model.to_ascii_lowercase();
    let model = model.rsplit('/').next().unwrap_or_default();
    let model = model.split_once("anthropic.").map_or(model, |(_, name)| name);
    model.split('[').next().unwrap_or_default().to_owned()
}

impl Price {
    /// What these tokens cost in one request, millionths of a US dollar, rounded up.
    pub fn of(&self, tokens: &Tokens, terms: Terms) -> u64 {
        let all = tokens.input_all();
        let (input, output) = if 0 < self.long_from && self.long_from <= all { self.long } else { (100, 100) };
        let part = |tokens: u64, price: u64, percent: u64| u128::from(tokens) * u128::from(price) * u128::from(percent);
        let sum = part(tokens.input, self.input, input)
            + part(tokens.cache_read, self.cache_read, input)
            + part(tokens.cache_write, self.cache_write, input)
            + part(tokens.cache_write_1h, self.cache_write_1h, input)
            + part(tokens.output, self.output, output);
        let sum = if terms.regional { sum * 11 } else { sum * 10 };
        let micro = sum.div_ceil(1_000_000_000);
        u64::try_from(micro).unwrap_or(u64::MAX).saturating_add(tokens.searches.saturating_mul(SEARCH))
    }

    /// The most that so many tokens can cost, whatever becomes of a cache.
    pub fn most(&self, input: u64, output: u64, terms: Terms) -> u64 {
        let plain = Tokens { input, output, ..Tokens::default() };
        let written = Tokens { cache_write_1h: input, output, ..Tokens::default() };
        self.of(&plain, terms).max(self.of(&written, terms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(model: &str, tokens: Tokens) -> u64 {
        price(model, Terms::default()).0.of(&tokens, Terms::default())
    }

    #[test]
    fn a_response_costs_what_the_list_says() {
        // 1 million of each: 2 + 0.2 + 2.5 + 4 + 10.
        let each = 1_000_000;
        let tokens = Tokens {
            input: each,
            cache_read: each,
            cache_write: each,
            cache_write_1h: each,
            output: each,
            searches: 2,
        };
        assert_eq!(cost("claude-sonnet-5", tokens), 18_720_000);
        // As Claude Code 2.1.332 counts it itself: 1,000 and 500 tokens of Opus 5.
        let some = Tokens { input: 1_000, output: 500, ..Tokens::default() };
        assert_eq!(cost("claude-opus-5", some), 17_500);
        assert_eq!(cost("claude-opus-5", Tokens { output: 1, ..Tokens::default() }), 25);
        assert_eq!(cost("gpt-6-luna", Tokens { input: 1, ..Tokens::default() }), 1, "rounded up, never to nothing");
    }

    #[test]
    fn names_of_other_services_and_editions_are_the_same_model() {
        let sonnet = price("claude-sonnet-5", Terms::default());
        for name in [
            "claude-sonnet-5-20260601",
            "claude-sonnet-5@20260601",
            "anthropic/claude-sonnet-5",
            "eu.anthropic.claude-sonnet-5-v1:0",
            "Claude-Sonnet-5[1m]",
            "claude-sonnet-5-latest",
        ] {
            assert_eq!(price(name, Terms::default()), sonnet, "{name}");
        }
        assert!(sonnet.1);
        assert_eq!(price("claude-opus-4-20250514", Terms::default()).0.input, 15_000_000);
        assert_eq!(price("claude-opus-4-5-20251101", Terms::default()).0.input, 5_000_000);
        assert_eq!(price("gpt-5.1-codex-max", Terms::default()).0.input, 1_250_000);
    }

    #[test]
    fn what_is_not_in_the_list_is_never_cheap() {
        let most = |f: fn(&Price) -> u64| TABLE.iter().map(|(_, p)| f(p)).max().unwrap();
        for name in ["claude-opus-6", "claude-sonnet-5-9", "gpt-6-sol-pro", "gpt-5.55", "qwen", "", "claude-haiku-4x"] {
            let (price, known) = price(name, Terms::default());
            assert!(!known, "{name}");
            assert!(most(|p| p.input * p.long.0 / 100) <= price.input, "{name}");
            assert!(most(|p| p.output * p.long.1 / 100) <= price.output, "{name}");
            assert!(most(|p| p.cache_read * p.long.0 / 100) <= price.cache_read, "{name}");
            assert!(most(|p| p.cache_write_1h * p.long.0 / 100) <= price.cache_write_1h, "{name}");
        }
        assert!(
            !price("claude-sonnet-5", Terms { fast: true, ..Terms::default() }).1,
            "a faster mode is another price"
        );
    }

    #[test]
    fn long_requests_and_regions_cost_more_and_the_most_is_the_most() {
        let at = |input| cost("claude-haiku-5-5", Tokens { input, output: 1_000, ..Tokens::default() });
        assert_eq!((at(100_000), at(100_001)), (10_500, 52_501));
        let regional = Terms { regional: true, ..Terms::default() };
        let sonnet = price("claude-sonnet-5", regional).0;
        assert_eq!(sonnet.of(&Tokens { output: 1_000, ..Tokens::default() }, regional), 11_000);
        let most = sonnet.most(1_000, 1_000, Terms::default());
        assert_eq!(most, 14_000, "all of it written into a cache for an hour");
    }
}
