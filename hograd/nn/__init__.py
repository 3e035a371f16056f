"""Layers of networks as pure functions of explicit parameters.

A layer is a description: `nn.linear(3, 2)` holds sizes and options and no numbers. `init` makes its parameters, a plain
tree, and `apply` is a pure function of them; so gradients, `vmap` over ensembles or tasks, and optimizers need nothing
from a layer. `Layer` says how statistics, draws and steps are passed, and how one writes a layer of one's own; any
function of one tensor, such as `hograd.relu`, is a layer without parameters.

>>> import hograd as ho
>>> from hograd import nn
>>> net = nn.mlp([2, 16, 1], ho.tanh)
>>> params = net.init(0)
>>> print(net.summary((32, 2)))
name         layer          output    parameters
------------------------------------------------
layer1       linear(2, 16)  (32, 16)          48
activation1  tanh           (32, 16)           0
head         linear(16, 1)  (32, 1)           17
------------------------------------------------
all                                           65
>>> def loss(params, x, y):
...     return ho.mse(net.apply(params, x), y)
>>> x = ho.linspace(-1, 1, 32).reshape(16, 2)
>>> gradient = ho.func.grad(loss)(params, x, x[:, :1])
>>> ho.tree.structure(gradient) == ho.tree.structure(params)
True
"""

from hograd.nn import functional, init
from hograd.nn.activation import prelu
from hograd.nn.attention import multi_head_attention
from hograd.nn.conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from hograd.nn.dropout import dropout
from hograd.nn.layer import Layer, Scope
from hograd.nn.linear import embedding, linear
from hograd.nn.networks import conv4, mlp, residual, sequential
from hograd.nn.normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from hograd.nn.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    flatten,
    max_pool1d,
    max_pool2d,
)
from hograd.nn.recurrent import Cell, gru_cell, lstm_cell, recurrent, rnn_cell
from hograd.nn.summary import count

__all__ = [
    "Cell",
    "Layer",
    "Scope",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv4",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "count",
    "dropout",
    "embedding",
    "flatten",
    "group_norm",
    "functional",
    "gru_cell",
    "init",
    "instance_norm",
    "layer_norm",
    "linear",
    "lstm_cell",
    "max_pool1d",
    "max_pool2d",
    "mlp",
    "multi_head_attention",
    "prelu",
    "recurrent",
    "residual",
    "rms_norm",
    "rnn_cell",
    "sequential",
]
