//! HTTP dates (RFC 9110 section 5.6.7): IMF-fixdate out, all three forms in.
//!
//! Days are counted as in Howard Hinnant's "chrono-compatible low-level date
//! algorithms": years begin in March, so that the leap day is the last.

use store::Now;

const DAY_S: u64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const WEEKDAYS_LONG: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Length of an IMF-fixdate.
pub(crate) const LEN_BYTES: usize = 29;

/// `Sun, 06 Nov 1994 08:49:37 GMT` for a second since 1970 (before the year 10000).
pub(crate) fn format(seconds: u64) -> [u8; LEN_BYTES] {
    let seconds = seconds.min(253_402_300_799);
    let (days, second) = (seconds / DAY_S, (seconds % DAY_S) as u32);
    let (year, month, day) = civil_date(days);
    let (minute, year) = (second / 60, year as u32);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    text[0..3].copy_from_slice(WEEKDAYS[(days as usize + 3) % 7].as_bytes());
    text[5..7].copy_from_slice(&two_digits(day as u32));
    text[8..11].copy_from_slice(MONTHS[month as usize - 1].as_bytes());
    text[12..14].copy_from_slice(&two_digits(year / 100));
    text[14..16].copy_from_slice(&two_digits(year % 100));
    text[17..19].copy_from_slice(&two_digits(minute / 60));
    text[20..22].copy_from_slice(&two_digits(minute % 60));
    text[23..25].copy_from_slice(&two_digits(second % 60));
    text
}

/// A number below 100.
fn two_digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

/// The `Date` of answers, written once a second.
#[derive(Debug)]
pub(crate) struct Date {
    seconds: u64,
    text: [u8; LEN_BYTES],
}

impl Default for Date {
    fn default() -> Self {
        Date {
            seconds: 0,
            text: format(0),
        }
    }
}

/// Before this second, in 2001, no clock has been set.
pub(crate) const CLOCK_SET_S: u64 = 1_000_000_000;

impl Date {
    /// That of an answer given now; `None` while no clock has been set (RFC 9110 section 6.6.1).
    pub(crate) fn of(&mut self, now: Now) -> Option<&[u8]> {
        let seconds = now.wall_ns / 1_000_000_000;
        if seconds != self.seconds {
            self.seconds = seconds;
            self.text = format(seconds);
        }
        (seconds >= CLOCK_SET_S).then_some(&self.text)
    }
}

/// The second a date names; `now_s` decides the century of a two-digit year.
pub(crate) fn parse(text: &[u8], now_s: u64) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?;
    imf(text)
        .or_else(|| rfc850(text, now_s))
        .or_else(|| asctime(text))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf(text: &str) -> Option<u64> {
    let (weekday, rest) = text.split_once(", ")?;
    WEEKDAYS.iter().find(|known| **known == weekday)?;
    let bytes = rest.as_bytes();
    if bytes.len() != 24 || bytes[2] != b' ' || bytes[6] != b' ' || bytes[11] != b' ' {
        return None;
    }
    let year = number(rest.get(7..11)?)?;
    second_of(
        year,
        month(rest.get(3..6)?)?,
        number(rest.get(0..2)?)?,
        rest.get(12..20)?,
    )
    .filter(|_| rest.ends_with(" GMT"))
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`.
fn rfc850(text: &str, now_s: u64) -> Option<u64> {
    let (weekday, rest) = text.split_once(", ")?;
    WEEKDAYS_LONG.iter().find(|known| **known == weekday)?;
    let bytes = rest.as_bytes();
    if bytes.len() != 22 || bytes[2] != b'-' || bytes[6] != b'-' || bytes[9] != b' ' {
        return None;
    }
    let (this_year, this_month, today) = civil_date(now_s / DAY_S);
    let year = this_year - this_year % 100 + number(rest.get(7..9)?)?;
    let (month, day) = (month(rest.get(3..6)?)?, number(rest.get(0..2)?)?);
    let second = |year| second_of(year, month, day, rest.get(10..18)?);
    // More than 50 years ahead means the most recent year in the past with those digits.
    let latest_s = days(this_year + 50, this_month, today) * DAY_S + now_s % DAY_S;
    let found = match second(year) {
        Some(found) if found <= latest_s => Some(found),
        _ => second(year - 100),
    };
    found.filter(|_| rest.ends_with(" GMT"))
}

/// `Sun Nov  6 08:49:37 1994`.
fn asctime(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.len() != 24 || bytes[3] != b' ' || bytes[7] != b' ' || bytes[19] != b' ' {
        return None;
    }
    WEEKDAYS
        .iter()
        .find(|known| Some(**known) == text.get(0..3))?;
    let day = text.get(8..10)?;
    let day = number(day.strip_prefix(' ').unwrap_or(day))?;
    if bytes[10] != b' ' {
        return None;
    }
    second_of(
        number(text.get(20..24)?)?,
        month(text.get(4..7)?)?,
        day,
        text.get(11..19)?,
    )
}

/// The second of a civil date and `HH:MM:SS`, if there is such a moment; 0 for one before 1970.
fn second_of(year: u64, month: u64, day: u64, clock: &str) -> Option<u64> {
    let bytes = clock.as_bytes();
    if bytes.len() != 8 || bytes[2] != b':' || bytes[5] != b':' {
        return None;
    }
    let hour = number(clock.get(0..2)?).filter(|hour| *hour < 24)?;
    let minute = number(clock.get(3..5)?).filter(|minute| *minute < 60)?;
    // A leap second counts as the one before it.
    let second = number(clock.get(6..8)?)
        .filter(|second| *second <= 60)?
        .min(59);
    // The calendar is the same every 400 years.
    let cycle = if year < 1970 { year + 2_000 } else { year };
    let days = days(cycle, month, day);
    if day == 0 || civil_date(days) != (cycle, month, day) {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    Some(days * DAY_S + hour * 3600 + minute * 60 + second)
}

/// Year, month and day of a day since 1970-01-01.
pub fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The day since 1970-01-01 of a civil date not before it.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day.saturating_sub(1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

/// 1 to 12.
fn month(name: &str) -> Option<u64> {
    MONTHS
        .iter()
        .position(|known| *known == name)
        .map(|index| index as u64 + 1)
}

/// A number of digits only.
fn number(text: &str) -> Option<u64> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_795_000_000;

    #[test]
    fn known_seconds() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_000_000_000, "Sun, 09 Sep 2001 01:46:40 GMT"),
            (2_147_483_647, "Tue, 19 Jan 2038 03:14:07 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(core::str::from_utf8(&format(seconds)).unwrap(), text);
            assert_eq!(parse(text.as_bytes(), NOW_S), Some(seconds), "{text}");
        }
        assert_eq!(format(u64::MAX), format(253_402_300_799));
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in 0..146_097 {
            let seconds = day * DAY_S + day % DAY_S;
            assert_eq!(parse(&format(seconds), NOW_S), Some(seconds));
        }
    }

    #[test]
    fn old_forms_are_read() {
        for (text, seconds) in [
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Sun Nov 16 08:49:37 1994", Some(784_975_777)),
            ("Friday, 01-Jan-27 00:00:00 GMT", Some(1_798_761_600)),
            // NOW_S and 50 years: up to that second it is ahead, and behind it a century ago.
            ("Wednesday, 18-Nov-76 11:06:40 GMT", Some(3_372_923_200)),
            ("Thursday, 18-Nov-76 11:06:41 GMT", Some(217_163_201)),
            ("Thursday, 31-Dec-76 00:00:00 GMT", Some(220_838_400)),
            ("Sunday, 06-Nov-69 08:49:37 GMT", Some(3_150_953_377)),
            ("Thu, 06 Nov 1969 08:49:37 GMT", Some(0)),
            ("Thu Feb 29 00:00:00 1968", Some(0)),
        ] {
            assert_eq!(parse(text.as_bytes(), NOW_S), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "yesterday",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 +8:49:37 GMT",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "\u{e9}\u{e9}\u{e9}, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW_S), None, "{text}");
        }
        assert_eq!(parse(&[0xff; 29], NOW_S), None);
    }
}
