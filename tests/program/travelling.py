"""Compiled functions at the top level of a module, for other processes."""

import functools

import hograd as ho
from hograd import func


@ho.compile
def slope(w):
    return func.grad(lambda w: (w**3).sum())(w)


def cube(w):
    return (w**3).sum()


fast_cube = ho.compile(cube, passes=(), cache_size=3)


class Model:
    def __init__(self, scale):
        self.scale = scale

    @ho.compile
    def scaled(self, w):
        return w * 2.0

    def plain(self, w):
        return w * self.scale


@functools.lru_cache
@ho.compile
def hidden(w):
    return w
