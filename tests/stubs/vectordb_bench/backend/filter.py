"""The filters of VectorDBBench's cases: by number and by label."""

from __future__ import annotations

from enum import Enum

from pydantic import BaseModel


class FilterOp(str, Enum):
    NumGE = "NumGE"
    StrEqual = "Label"
    NonFilter = "NonFilter"


class Filter(BaseModel):
    type: FilterOp


class NonFilter(Filter):
    type: FilterOp = FilterOp.NonFilter


class IntFilter(Filter):
    type: FilterOp = FilterOp.NumGE
    int_value: int


class LabelFilter(Filter):
    type: FilterOp = FilterOp.StrEqual
    label_percentage: float

    @property
    def label_value(self) -> str:
        """Whole percentages only."""
        return f"label_{round(100 * self.label_percentage)}p"
