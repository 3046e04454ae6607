"""A csv as people and spreadsheets write it: rows of fields by the names of their columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracker.errors import UserError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        place: file and line, as messages name it.
        fields: by the column's name in small letters; spaces around them are gone.
        separator: what stands between the fields of the table.
    """

    place: str
    fields: dict[str, str]
    separator: str

    def decimal(self, column: str) -> str:
        """A field that is to be a number, with a point where the table's decimals have commas.

        Raises:
            UserError: its comma may as well separate thousands.
        """
        text = self.fields[column]
        if self.separator != "," and re.fullmatch(r"[-+]?(?!0,)[0-9]{1,3},[0-9]{3}", text):
            raise UserError(
                f"{self.place}: {text} may be {text.replace(',', '')} or {text.replace(',', '.')}; "
                "write it without a comma or with a point"
            )
        if self.separator != "," and text.count(",") == 1 and "." not in text:
            return text.replace(",", ".")
        return text


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """Read a csv with a first line of columns; rows without any text are left out.

    Commas, semicolons or tabs separate its fields; Excel's line ``sep=;`` may stand before it.

    Args:
        columns: what the table has to have; their order is free.
        optional: what else is looked at; further columns may be there.

    Raises:
        UserError: the file cannot be read, columns are missing or there twice, or a row has more
            fields than there are columns (with its line), unless those at its end are blank.
    """
    lines = _lines(path)
    stated = re.fullmatch('"?sep=([,;\t|])"?', lines[0].rstrip("\r\n "), re.I) if lines else None
    before = 1 if stated else 0
    head = lines[before].strip() if len(lines) > before else ""
    # told by the known columns: names and labels may hold any letter
    separator = stated[1] if stated else max(",;\t", key=head.count)
    table = csv.reader(lines[before:], delimiter=separator, skipinitialspace=True)
    try:
        rows = [(before + table.line_num, [field.strip() for field in row]) for row in table]
    except csv.Error as error:
        line = before + table.line_num
        raise UserError(f"{path}, line {line}: this is no csv ({error})") from None
    names = [name.lower() for name in rows[0][1]] if rows else []
    _check_columns(path, names, columns, optional, head)
    filled = [(f"{path}, line {line}", row) for line, row in rows[1:] if any(row)]
    blank_from = _blank_from(names, columns, optional, separator)
    return [
        Row(place, _fields(place, names, row, separator, blank_from), separator)
        for place, row in filled
    ]


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no UTF-8 text; save the table as csv in UTF-8") from None
    return io.StringIO(text, newline="").readlines()  # names may hold line ends of other kinds


def _check_columns(
    path: Path, names: list[str], columns: Sequence[str], optional: Sequence[str], head: str
) -> None:
    if not set(columns) <= set(names):
        may = f" ({', '.join(optional)} may follow)" if optional else ""
        raise UserError(
            f"{path} needs a first line with the columns {','.join(columns)}{may}; "
            f"found {head[:80] or 'an empty file'}"
        )
    for name in (*columns, *optional):
        if names.count(name) > 1:
            raise UserError(f"{path} has the column {name} twice; leave one of them")


def _blank_from(
    names: list[str], columns: Sequence[str], optional: Sequence[str], separator: str
) -> int:
    """The number of the field from which on a row with too many of them has to be blank.

    Decimal commas between commas push the last number to where a label is looked for.
    """
    last = max(map(names.index, columns))
    behind = [n for n, name in enumerate(names) if name in optional and n > last]
    return min(behind, default=len(names)) if separator == "," else len(names)


def _fields(
    place: str, names: list[str], row: list[str], separator: str, blank_from: int
) -> dict[str, str]:
    if len(row) > len(names) and any(row[blank_from:]):
        decimals = ", write decimals with a point" if separator == "," else ""
        raise UserError(
            f"{place} has {len(row)} fields, the header {len(names)}: "
            f"put names with {SEPARATORS[separator]} into quotes{decimals}"
        )
    return dict.fromkeys(names, "") | dict(zip(names, row, strict=False))
