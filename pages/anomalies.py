import streamlit as st

st.write('anomalies')
