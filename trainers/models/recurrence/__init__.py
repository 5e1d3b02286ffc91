"""The recurrences themselves: cells, their kernels, and how those of many members are one."""
