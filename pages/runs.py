import streamlit as st

st.write('runs')
